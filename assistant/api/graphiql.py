"""The page at ``/graphql`` for browsers: GraphiQL, from local files or from a CDN.

``make setup`` bundles GraphiQL into a folder when Node is present; then the page asks nothing
of any other host, as a closed network needs. Without that folder the same script runs
unbundled and the browser fetches GraphiQL, in the versions named here, from a CDN.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.responses import HTMLResponse
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    import os

    from starlette.responses import Response
    from starlette.types import Scope

_ENDPOINT = "/graphql"
_ASSETS = "/graphql/assets"

_TEXT = (
    "Version 4 of the payment service goes live on Tuesday at 06:00 UTC. The new version "
    "settles card payments within two seconds instead of nine. Merchants do not have to "
    "change anything, because the programming interface stays the same. During the switch, "
    "which takes about ten minutes, payments are queued and none is lost. The team rehearsed "
    "the switch three times on a copy of the production database. If more than one payment in "
    "a thousand fails, the old version returns automatically. Lunch on Tuesday is on the "
    "house for everybody who got up early."
)
_INPUT = {"promptName": "summarize-text", "variables": {"max_sentences": 2, "text": _TEXT}}

SUMMARIZE: Final = """\
# Ctrl-Enter runs it. The second tab streams the answer.
mutation Summarize($input: CompletionRequest!) {
  generateCompletion(input: $input) {
    id
    text
    finishReason
    model {
      id
    }
    cache
    usage {
      promptTokens
      completionTokens
      cost {
        amount
        currency
      }
    }
    decision {
      ruleName
      candidates
      attempts {
        model
        outcome
        latencyMs
      }
      overheadMs
    }
    latencyMs
  }
}
"""

SUMMARY_STREAM: Final = """\
subscription SummaryStream($input: CompletionRequest!) {
  completionStream(input: $input) {
    __typename
    eventId
    sequence
    ... on CompletionStarted {
      completionId
      model {
        id
      }
    }
    ... on TokenDelta {
      text
    }
    ... on CompletionFinished {
      response {
        text
        finishReason
        usage {
          totalTokens
        }
      }
    }
    ... on CompletionFailed {
      code
      message
      isRetryable
    }
  }
}
"""

_CONFIG = {
    "endpoint": _ENDPOINT,
    "tabs": [
        {"query": query, "variables": json.dumps({"input": _INPUT}, indent=2, ensure_ascii=False)}
        for query in (SUMMARIZE, SUMMARY_STREAM)
    ],
}

# The versions that ops/graphiql/package.json bundles. Source of the shape, `standalone` and
# `external` included: https://github.com/graphql/graphiql/tree/main/examples/graphiql-cdn
_CDN = "https://esm.sh"
_IMPORTS = {
    "react": f"{_CDN}/react@19.3.1",
    "react/": f"{_CDN}/react@19.3.1/",
    "react-dom": f"{_CDN}/react-dom@19.3.1",
    "react-dom/": f"{_CDN}/react-dom@19.3.1/",
    "graphql": f"{_CDN}/graphql@16.15.0",
    "graphql-sse": f"{_CDN}/graphql-sse@2.6.1?external=graphql",
    "graphiql": f"{_CDN}/graphiql@5.4.0?standalone&external=react,react-dom,@graphiql/react,graphql",
    "graphiql/": f"{_CDN}/graphiql@5.4.0/",
    "@graphiql/react": f"{_CDN}/@graphiql/react@0.39.1?standalone&external="
    "react,react-dom,graphql,@graphiql/toolkit,@emotion/is-prop-valid",
    "@graphiql/toolkit": f"{_CDN}/@graphiql/toolkit@0.12.1?standalone&external=graphql",
    "@graphiql/plugin-explorer": f"{_CDN}/@graphiql/plugin-explorer@5.1.5?standalone&external="
    "react,@graphiql/react,graphql",
    "@emotion/is-prop-valid": "data:text/javascript,",
}
_STYLES = (
    f"{_CDN}/graphiql@5.4.0/dist/style.css",
    f"{_CDN}/@graphiql/plugin-explorer@5.1.5/dist/style.css",
)


@dataclass(frozen=True, slots=True)
class GraphiQL:
    """The page, the policy a browser must hold it to, and the routes of its files."""

    html: str
    content_security_policy: str
    routes: tuple[BaseRoute, ...]

    def response(self) -> HTMLResponse:
        """Answer a browser. The page is never framed, stored or told where the user came from."""
        return HTMLResponse(
            self.html,
            headers={
                "cache-control": "no-store",
                "content-security-policy": self.content_security_policy,
                "referrer-policy": "no-referrer",
                "vary": "accept",
                "x-content-type-options": "nosniff",
            },
        )


def load_graphiql(directory: Path) -> GraphiQL:
    """GraphiQL from the local copies in ``directory``, or from a CDN where there are none."""
    if (directory / "graphiql.js").is_file():
        return GraphiQL(
            html=graphiql_html(assets=True),
            content_security_policy=_policy(scripts="'self'", styles="'self'", workers="'self'"),
            routes=(Mount(_ASSETS, _Assets(directory=directory), name="graphiql"),),
        )
    hashes = " ".join(_hash(script) for script in (_import_map(), _page_script()))
    return GraphiQL(
        html=graphiql_html(assets=False),
        content_security_policy=_policy(
            scripts=f"{_CDN} data: {hashes}", styles=_CDN, workers="blob:"
        ),
        routes=(),
    )


def graphiql_html(*, assets: bool) -> str:
    """The page: with ``assets`` it loads only from ``/graphql/assets``, else from a CDN."""
    if assets:
        styles: tuple[str, ...] = (f"{_ASSETS}/graphiql.css",)
        wait = "Loading GraphiQL."
        scripts = f'<script type="module" src="{_ASSETS}/graphiql.js"></script>'
    else:
        styles = _STYLES
        wait = (
            f"Loading GraphiQL from {_CDN}. In a closed network, run <code>make setup</code> on "
            "a machine with Node: the page then comes from this service alone."
        )
        scripts = (
            f'<script type="importmap">{_import_map()}</script>\n'
            f'<script type="module">{_page_script()}</script>'
        )
    links = "\n".join(f'<link rel="stylesheet" href="{url}">' for url in styles)
    # "<" would end the script element if a text held "</script>".
    config = json.dumps(_CONFIG).replace("<", "\\u003c")
    return f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>assistant: GraphiQL</title>
<link rel="icon" href="data:,">
{links}
<style>body {{ margin: 0; }} #graphiql {{ height: 100dvh; font-family: sans-serif; }}</style>
</head>
<body>
<div id="graphiql"><p>{wait}</p></div>
<noscript>GraphiQL needs JavaScript. The API itself answers POST {_ENDPOINT}.</noscript>
<script id="config" type="application/json">{config}</script>
{scripts}
</body>
</html>
"""


class _Assets(StaticFiles):
    """Bundled files with the types that browsers insist on and a lifetime per kind of name."""

    # Not left to the machine's MIME table: a module script of another type is refused.
    _types: Final = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        path = Path(full_path)
        response.headers["content-type"] = self._types.get(path.suffix, "application/octet-stream")
        response.headers["x-content-type-options"] = "nosniff"
        # Names below chunks/ carry a hash of their content; the others are asked for again and
        # answered 304 while they stay the same.
        response.headers["cache-control"] = (
            "public, max-age=31536000, immutable" if path.parent.name == "chunks" else "no-cache"
        )
        return response


def _policy(*, scripts: str, styles: str, workers: str) -> str:
    """A Content-Security-Policy that lets the page talk to its own origin only.

    Monaco writes its theme into style elements, hence 'unsafe-inline' for styles.
    """
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {scripts}",
            f"style-src {styles} 'unsafe-inline'",
            f"font-src {styles} data:",
            "img-src 'self' data:",
            "connect-src 'self'",
            f"worker-src {workers}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def _import_map() -> str:
    return json.dumps({"imports": _IMPORTS}, indent=2)


def _page_script() -> str:
    return Path(__file__).with_suffix(".mjs").read_text(encoding="utf-8")


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
