"""The HTTP face, wired: create_app gives the API and the console on an open runtime."""

import contextlib
from collections.abc import AsyncIterator
from importlib.metadata import version

from litestar import Litestar, Router
from litestar.config.app import AppConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Tag
from litestar.routes import HTTPRoute

from db.events import Events
from db.pool import Pool
from ingest.originals import Originals
from service.accounts.events import check_clerk_secrets, receive_clerk_event
from service.accounts.routes import accounts_router
from service.ai_models.routes import ai_models_router
from service.answering.asking import Answerer
from service.answering.live import LiveAnswers
from service.answers.routes import answer_question
from service.api_keys.routes import api_keys_router
from service.auth.access import ROUTES
from service.auth.guard import provide_caller, require_caller, route_name
from service.auth.rates import configured_limits
from service.billing.routes import receive_stripe_event
from service.console.routes import console_routes
from service.conversations.asking import Chat
from service.conversations.routes import conversations_router
from service.conversations.turns import Turns
from service.credentials.routes import credentials_router
from service.dify.routes import dify_router
from service.documents.routes import documents_router
from service.errors import problem_details_plugin
from service.executions.routes import executions_routes
from service.health.routes import health_routes
from service.hooks.routes import hooks_routes
from service.mcp.routes import McpEndpoint, speak_mcp
from service.metering import UsageRecorder
from service.notifications.routes import notifications_router
from service.openai_api.routes import openai_routes
from service.providers import EmbeddingProvider
from service.providers.chat import ChatModels
from service.query_meter import QueryMeter
from service.reference import ReferencePage
from service.runtime import Runtime
from service.search.routes import search_routes
from service.secrets import SecretBox
from service.settings import Settings
from service.teams.routes import teams_routers
from service.usage.budgets import budgets_router
from service.usage.routes import usage_routes
from service.webhooks.routes import webhooks_router
from service.workflows.routes import workflows_router


def create_app(runtime: Runtime) -> Litestar:
    """Return the application on an open runtime; its lifespan holds the listener for document events."""
    events = Events()
    secret_box = SecretBox(runtime.settings.encryption_keys())
    chat_models = ChatModels(secret_box, runtime.settings)
    check_clerk_secrets(runtime.settings)

    live_answers = LiveAnswers()

    @contextlib.asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        app.state.mcp = mcp = McpEndpoint(app)
        async with events.listen(runtime.pool), mcp:
            try:
                yield
            finally:
                await live_answers.aclose()
                await usage_recorder.drain()
                await chat_models.aclose()

    usage_recorder = UsageRecorder.on(runtime.pool)
    query_meter = QueryMeter(runtime.embedder, runtime.settings.embedding_price_per_million)

    answerer = Answerer(
        runtime.pool,
        runtime.embedder,
        chat_models,
        usage_recorder,
        query_meter,
        runtime.settings.answer_min_score,
    )
    chat = Chat(runtime.pool, answerer, Turns(runtime.pool, answerer, live_answers))

    async def provide_answerer() -> Answerer:
        return answerer

    async def provide_live_answers() -> LiveAnswers:
        return live_answers

    async def provide_chat() -> Chat:
        return chat

    async def provide_pool() -> Pool:
        return runtime.pool

    async def provide_originals() -> Originals:
        return runtime.originals

    async def provide_embedder() -> EmbeddingProvider:
        return runtime.embedder

    async def provide_settings() -> Settings:
        return runtime.settings

    async def provide_events() -> Events:
        return events

    async def provide_usage_recorder() -> UsageRecorder:
        return usage_recorder

    async def provide_query_meter() -> QueryMeter:
        return query_meter

    async def provide_secret_box() -> SecretBox:
        return secret_box

    async def provide_chat_models() -> ChatModels:
        return chat_models

    def defaults(config: AppConfig) -> AppConfig:
        config.state = State(
            {
                "pool": runtime.pool,
                "signing_secret": runtime.settings.signing_secret(),
                "rate_limits": configured_limits(runtime.settings),
                "verifier": runtime.verifier,
                "administrators": runtime.settings.administrator_emails,
                "new_tier": runtime.settings.new_tier,
                "events": events,
            }
        )
        return config

    app = Litestar(
        route_handlers=[
            documents_router,
            *search_routes,
            answer_question,
            conversations_router,
            ai_models_router,
            accounts_router,
            receive_clerk_event,
            api_keys_router,
            *teams_routers,
            notifications_router,
            *usage_routes,
            budgets_router,
            *openai_routes,
            receive_stripe_event,
            webhooks_router,
            *executions_routes,
            *hooks_routes,
            credentials_router,
            workflows_router,
            speak_mcp,
            dify_router,
            *health_routes,
            *console_routes,
        ],
        dependencies={
            "caller": Provide(provide_caller),
            "pool": Provide(provide_pool),
            "originals": Provide(provide_originals),
            "embedder": Provide(provide_embedder),
            # Not "settings" nor "events": Litestar takes what is wrong with a body's field of a dependency's name for a
            # fault of ours.
            "deployment": Provide(provide_settings),
            "event_feed": Provide(provide_events),
            "secret_box": Provide(provide_secret_box),
            "chat_models": Provide(provide_chat_models),
            "answerer": Provide(provide_answerer),
            "live_answers": Provide(provide_live_answers),
            "chat": Provide(provide_chat),
            "usage_recorder": Provide(provide_usage_recorder),
            "query_meter": Provide(provide_query_meter),
        },
        guards=[require_caller],
        plugins=[problem_details_plugin()],
        lifespan=[lifespan],
        on_app_init=[defaults],
        openapi_config=_openapi(),
        request_max_body_size=1024 * 1024,
        logging_config=None,
        debug=False,
    )
    require_rows(app)
    return app


def served_routes(app: Litestar) -> set[str]:
    """Return every route, as the access table writes them. Raises LookupError for one that the guard cannot know.

    A mounted ASGI application takes any method and any path below its own: one is served by a route that returns it
    instead, as service/mcp/routes.py does.
    """
    served = set()
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            raise LookupError(  # noqa: TRY004
                f"{route.path_format} is not a route with methods: the access table has no words for it"
            )
        served |= {route_name(method, route.path_format) for method in route.methods if method != "OPTIONS"}
    return served


def require_rows(app: Litestar) -> None:
    """Refuse to serve a route that the access table does not know: nobody has decided who may use it."""
    unknown = served_routes(app) - set(ROUTES)
    if unknown:
        raise LookupError(f"{', '.join(sorted(unknown))}: no row in service/auth/access.py")


def _openapi() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="docsearch",
        version=version("docsearch"),
        description="Document search on PostgreSQL: hybrid retrieval with exact citations.",
        openapi_router=Router("/schema", route_handlers=[], include_in_schema=False),
        render_plugins=[ReferencePage(path="/"), JsonRenderPlugin(path="/openapi.json")],
        tags=[
            Tag("documents"),
            Tag("search"),
            Tag("answers"),
            Tag("conversations"),
            Tag("AI models"),
            Tag("executions"),
            Tag("webhooks in"),
            Tag("account"),
            Tag("API keys"),
            Tag("teams"),
            Tag("notifications"),
            Tag("usage"),
            Tag("webhooks"),
            Tag("workflows"),
            Tag("OpenAI-compatible"),
            Tag("Dify"),
            Tag("health"),
        ],
        components=Components(
            security_schemes={
                "api_key": SecurityScheme(
                    type="http", scheme="bearer", description="An API key, dsk_…, or a session token."
                )
            }
        ),
        security=[{"api_key": []}],
    )
