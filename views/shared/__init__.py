"""What both pages share: caches, session, links, texts, images and charts."""
