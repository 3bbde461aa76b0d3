"""What runs in a browser: scripts, payloads, static files, the page without a server."""
