"""What an embedder has consumed since it was opened."""

import threading


class EmbeddingUsage:
    """Counts that only grow; safe to add to from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.requests = 0
        self.texts = 0
        self.tokens = 0
        """As the provider counts them; estimated where it does not say."""

    def add(self, *, texts: int, tokens: int, requests: int = 0) -> None:
        with self._lock:
            self.requests += requests
            self.texts += texts
            self.tokens += tokens
