"""A Flask API with an application factory, a blueprint, and an error page of its own for missing roles.

Set ENTRA_GUARD_TENANT and ENTRA_GUARD_AUDIENCE, then: flask --app flask_app run
"""

from flask import Blueprint, Flask

from entra_guard import Guard, requires
from entra_guard.errors import InsufficientPermissionError
from entra_guard.flask import current_principal, init_app

orders = Blueprint("orders", __name__)


@orders.get("/orders")
def read_orders() -> dict[str, str]:
    return {"for": current_principal.display_name}


@orders.post("/orders")
@requires(roles=["Orders.Write"])
async def place_order() -> tuple[str, int]:
    return f"placed by {current_principal.app_id}", 201


def create_app(guard: Guard | None = None) -> Flask:
    app = Flask(__name__)
    init_app(app, guard or Guard.from_env(), public=["/healthz"])
    app.register_blueprint(orders)
    app.get("/healthz")(lambda: "healthy")

    @app.errorhandler(InsufficientPermissionError)
    def forbidden(error: InsufficientPermissionError) -> tuple[str, int, dict[str, str]]:
        return f"Ask the orders team for access ({error.reason}).", error.status, error.headers

    return app
