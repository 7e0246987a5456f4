"""How much known models read and write together, in tokens: what holds where context_tokens is not configured."""

# Longest prefix wins. From the providers' own pages of models: platform.openai.com/docs/models,
# ai.google.dev/gemini-api/docs/models, docs.anthropic.com/en/docs/about-claude/models, console.groq.com/docs/models.
_WINDOWS = {
    "gpt-3.5-turbo": 16_385,
    "gpt-4": 8_192,
    "gpt-4-turbo": 128_000,
    "gpt-4o": 128_000,
    "gpt-4.1": 1_047_576,
    "gpt-5": 400_000,
    "o1": 200_000,
    "o3": 200_000,
    "o4-mini": 200_000,
    "gemini-": 1_048_576,
    "gemini-1.5-pro": 2_097_152,
    "claude-": 200_000,
    "llama3-": 8_192,
    "llama-3.1-": 131_072,
    "llama-3.3-": 131_072,
    "mixtral-8x7b": 32_768,
    "openai/gpt-oss-": 131_072,
}
UNKNOWN_WINDOW = 8_192
"""Of a model that nobody has told us about: most read more, and few less."""


def window_tokens(model_id: str) -> int:
    known = [prefix for prefix in _WINDOWS if model_id.startswith(prefix)]
    return _WINDOWS[max(known, key=len)] if known else UNKNOWN_WINDOW
