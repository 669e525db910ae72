"""Secrets that tests plant where secrets stand: in settings, URLs, overrides and messages."""

SECRETS = (
    "s3cr3t-Wh1te-Rabbit",
    "hunter2-hunter2",
)
