"""``policytag tag``: files to rows, at any size. Knows nothing of HTTP."""
