"""Activation: campaigns reach people through adapters, stop at a change too large, and are held to a control group."""
