"""The API's documentation as one page that opens offline: no script, no other server."""

from collections.abc import Mapping
from typing import Any

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{ info.title }}: API</title>
<link rel="stylesheet" href="/page/docs.css"></head>
<body><main>
<h1>{{ info.title }} {{ info.version }}</h1>
<p>{{ info.description }}</p>
<p>For programs: <a href="/openapi.json">openapi.json</a>. Whatever is refused says why in one sentence, as
application/problem+json.</p>
{% for path, methods in paths.items() %}{% for method, operation in methods.items() %}
<section>
<h2><code>{{ method | upper }} {{ path }}</code> {{ operation.summary }}</h2>
{% if operation.description %}<p>{{ operation.description }}</p>{% endif %}
{% if operation.parameters %}<table><caption>Parameters</caption>
<tr><th scope="col">Name<th scope="col">In<th scope="col">What</tr>
{% for one in operation.parameters %}
<tr><td><code>{{ one.name }}</code><td>{{ one["in"] }}<td>{{ one.description or "" }} <code>{{ kind(one) }}</code></tr>
{% endfor %}</table>{% endif %}
{% if operation.requestBody %}<p>Body: {{ operation.requestBody.content | join(", ") }}</p>{% endif %}
<p>Answers: {% for status, answer in operation.responses.items() %}<code>{{ status }}</code>
{{ answer.content | default({}) | join(", ") }}{% if not loop.last %}; {% endif %}{% endfor %}</p>
</section>
{% endfor %}{% endfor %}
<h2>From the command line</h2>
<pre>curl -F photographs=@eye.jpg http://127.0.0.1:8000/v1/predictions
curl --data-binary @eye.jpg -H "Accept: image/jpeg" http://127.0.0.1:8000/v1/predictions --output overlay.jpg</pre>
</main></body></html>
"""


def documentation_page(openapi: Mapping[str, Any]) -> str:
    """HTML of an OpenAPI document."""
    import jinja2  # only who asks for the page waits for it

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.ChainableUndefined)
    return environment.from_string(_PAGE).render(openapi, kind=_kind)


def _kind(parameter: Mapping[str, Any]) -> str:
    """What values a parameter takes, in short."""
    schema = parameter.get("schema", {})
    kinds = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    return " or ".join("|".join(map(str, one["enum"])) if "enum" in one else str(one.get("type", "")) for one in kinds)
