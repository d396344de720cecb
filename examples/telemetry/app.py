"""An API with metrics for Prometheus at /metrics, and spans where OTEL_EXPORTER_OTLP_ENDPOINT says.

    pip install "entra-guard[otel]" opentelemetry-sdk opentelemetry-exporter-prometheus uvicorn
    uvicorn app:app

The providers are set before the first request. The guard uses them without any setting.
"""

from __future__ import annotations

from opentelemetry import metrics, trace
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request  # noqa: TC002  # as in any example
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from entra_guard import Guard
from entra_guard.asgi import GuardMiddleware

metrics.set_meter_provider(MeterProvider([PrometheusMetricReader()]))
trace.set_tracer_provider(TracerProvider())  # add a span processor with your exporter here


async def order(request: Request) -> JSONResponse:
    return JSONResponse({"order": request.path_params["id"], "for": request.user.app_id})


async def prometheus(_request: Request) -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


app = Starlette(routes=[Route("/orders/{id}", order), Route("/metrics", prometheus)])
# Let only Prometheus reach /metrics: by a rule of the network, or with an allow-list in the gateway.
app.add_middleware(GuardMiddleware, guard=Guard.from_env(), public=["/metrics"])
