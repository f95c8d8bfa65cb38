"""What looks at the running platform from outside: does an event come through, does the stream keep up?"""
