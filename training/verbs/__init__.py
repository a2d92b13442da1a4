"""The verbs of `policytag-train`: each module has its arguments and runs it; what it does is elsewhere."""
