"""What a link to the page shows elsewhere: the tags in the HTML that is served, their picture, and the icon."""

from __future__ import annotations

import html
import os
import re
from typing import Any

from gradio.route_utils import get_root_url
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cyclegan_hub import templates
from cyclegan_hub.serving import preview
from cyclegan_hub.serving.studio import Studio

FAVICON = templates.FAVICON
PICTURE = "preview.jpg"
# gradio's template writes its own of these, twice; what stands in a script is no tag.
_TAGS = re.compile(
    r"(<script\b.*?</script>)|[ \t]*<meta\s+(?:property|name)=\"(?:og:|twitter:|description\")[^>]*>\n?|<title>.*?</title>",
    re.DOTALL,
)


def app_options(studio: Studio) -> dict[str, Any]:
    """The `app_kwargs` of gradio's launch with which a page shows our tags, and serves their picture."""
    made = preview.Preview(studio)

    async def picture(_: Request) -> Response:
        content = await run_in_threadpool(made.jpeg)
        return Response(content, media_type="image/jpeg", headers={"Cache-Control": "public, max-age=3600"})

    return {"routes": [Route(f"/{PICTURE}", picture)], "middleware": [Middleware(LinkTags, studio=studio)]}


class LinkTags:
    """ASGI middleware: the page's HTML with our title, description and Open Graph tags in place of gradio's."""

    def __init__(self, app: ASGIApp, studio: Studio) -> None:
        self.app, self.studio = app, studio

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].removeprefix(scope.get("root_path", "")) not in ("", "/"):
            await self.app(scope, receive, send)
            return
        start: Message | None = None
        body = b""

        async def collect(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
                return
            body += message.get("body", b"")
            if message.get("more_body") or start is None:
                return
            headers = MutableHeaders(scope=start)
            if headers.get("content-type", "").startswith("text/html"):
                body = self.tagged(body.decode(), Request(scope)).encode()
                headers["content-length"] = str(len(body))
            await send(start)
            await send({"type": "http.response.body", "body": body})

        await self.app(scope, receive, collect)

    def tagged(self, page: str, request: Request) -> str:
        """The page's HTML with our tags."""
        host, models = os.environ.get("SPACE_HOST"), self.studio.models()
        url = f"https://{host}" if host else get_root_url(request, "/", request.scope.get("root_path"))
        title, description = preview.title(models), preview.description(models)
        width, height = preview.SIZE
        properties = {
            "og:type": "website", "og:site_name": preview.NAME, "og:url": f"{url}/", "og:title": title,
            "og:description": description, "og:image": f"{url}/{PICTURE}", "og:image:width": width, "og:image:height": height,
            "og:image:alt": "Photographs and what the models make of them",
        }  # fmt: skip
        tags = [
            f"<title>{html.escape(preview.NAME)}</title>",
            _meta("name", "description", description),
            _meta("name", "twitter:card", "summary_large_image"),
            *(_meta("property", name, text) for name, text in properties.items()),
            '<link rel="icon" type="image/svg+xml" href="./favicon.ico">',  # gradio's name for it, whatever it is
        ]
        rest = _TAGS.sub(lambda found: found[1] or "", page)
        return re.sub(r"<meta charset[^>]*>", lambda found: "\n\t\t".join([found[0], *tags]), rest, count=1)


def _meta(kind: str, name: str, text: Any) -> str:
    return f'<meta {kind}="{name}" content="{html.escape(str(text))}">'
