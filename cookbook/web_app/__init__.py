"""A small web app that streams a model's answer into a page: `python -m cookbook.web_app`."""
