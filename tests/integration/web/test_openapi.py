"""The OpenAPI document names every address of the API, with the help of the verbs and every error code."""

import re

import pytest
from starlette.routing import Route

from flowhub_jobs.errors import ERRORS
from flowhub_jobs.web import api, metrics

ROUTES = [route for route in (*api.ROUTES, *metrics.ROUTES) if isinstance(route, Route)]


@pytest.fixture
def document(api_client):
    response = api_client.get("/api/openapi.json")
    assert response.status_code == 200
    return response.json()


def test_every_route_is_in_the_document_with_its_methods(document):
    listed = {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}
    routed = {
        (re.sub(r":[a-z]+\}", "}", route.path), method)
        for route in ROUTES
        for method in (route.methods or ()) - {"HEAD"}
    }
    assert listed == routed


def test_every_operation_is_described_and_names_its_parameters(document):
    seen = set()
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert operation["summary"].endswith(".")
            assert operation["operationId"] not in seen
            seen.add(operation["operationId"])
            in_path = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
            assert in_path == set(re.findall(r"\{([a-z]+)\}", path))
            assert all(one["description"] for one in operation["parameters"]), path
            body = operation.get("requestBody", {"content": {"application/json": {"schema": {"properties": {}}}}})
            fields = body["content"]["application/json"]["schema"]["properties"]
            assert all(field["description"] for field in fields.values()), path
            assert "default" in operation["responses"]


def test_an_option_has_the_help_of_its_verb(document, cli):
    verbs = {verb["name"]: verb for verb in cli("help", "--json").json["verbs"]}
    [since] = [option["help"] for option in verbs["status"]["options"] if "--since" in option["names"]]
    parameters = document["paths"]["/api/v1/jobs"]["get"]["parameters"]
    assert [one["description"] for one in parameters if one["name"] == "since"] == [since]
    for methods in document["paths"].values():
        for operation in methods.values():
            assert operation.get("x-flowhub-verb", "status") in verbs


def test_every_error_code_is_in_the_problem(document):
    assert document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] == sorted(ERRORS)


def test_an_answer_is_of_the_schema_that_the_document_names(document, api_client):
    for path, methods in document["paths"].items():
        if "get" in methods and "{" not in path and "events" not in path and path.startswith("/api/v1"):
            [(_, content)] = methods["get"]["responses"]["200"]["content"].items()
            assert api_client.get(path).json()["schema"] == content["schema"]["properties"]["schema"]["const"]
