"""What OpenAI's clients can call, in one router: its errors have their shape, whatever goes wrong."""

from litestar import Router

from service.openai_api.batches import batch_routes
from service.openai_api.chat import chat_routes
from service.openai_api.embeddings import embedding_routes
from service.openai_api.errors import openai_errors
from service.openai_api.files import file_routes
from service.openai_api.model_list import model_routes
from service.openai_api.responses import response_routes
from service.openai_api.store_files import store_file_routes
from service.openai_api.store_search import search_routes
from service.openai_api.vector_stores import store_routes

openai_routes = [
    Router(
        "/v1",
        tags=["OpenAI-compatible"],
        exception_handlers=openai_errors(),
        route_handlers=[
            *model_routes,
            *embedding_routes,
            *chat_routes,
            *response_routes,
            *file_routes,
            *store_routes,
            *store_file_routes,
            *batch_routes,
            *search_routes,
        ],
    )
]
