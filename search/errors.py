"""What can go wrong between a query and its hits."""


class SearchError(Exception):
    """A search could not be done; the message is for the person who asked."""


class InvalidQuery(SearchError):
    """The request is well-formed and yet cannot be searched for: another request is needed."""


class QueryNotEmbedded(SearchError):
    """The embedder answered with something that is not one vector for one query."""


class MalformedData(SearchError):
    """An evaluation data set does not have the layout that it should."""
