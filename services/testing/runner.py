def run_tiers(tiers):
    return 0


def run_campaign(*, fresh):
    return 0
