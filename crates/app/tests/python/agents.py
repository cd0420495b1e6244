"""Two agents at work, reported by the stock OpenTelemetry exporters.

Usage: agents.py http|grpc ENDPOINT genai|openinference ENVIRONMENT
Agents and tools are reported by this script in the words of the convention, calls of the model by the convention's
instrumentor of the OpenAI client. The model's server is played by this script itself, on loopback.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from openai import OpenAI
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Status, StatusCode


class Model(BaseHTTPRequestHandler):
    """Answers every chat with the same words and counts."""

    def do_POST(self):
        length = int(self.headers.get("content-length", 0))
        asked = json.loads(self.rfile.read(length))
        answer = json.dumps({
            "id": "chat-1", "object": "chat.completion", "created": 1767225600, "model": asked["model"],
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Paris"}}],
            "usage": {"prompt_tokens": 31, "completion_tokens": 7, "total_tokens": 38},
        }).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def exporter(protocol, endpoint):
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        return OTLPSpanExporter(endpoint=endpoint, insecure=True)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    return OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")


def instrument(convention):
    if convention == "genai":
        from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
    else:
        from openinference.instrumentation.openai import OpenAIInstrumentor
    OpenAIInstrumentor().instrument()


def agent_span(tracer, name, convention):
    if convention == "genai":
        attributes = {
            "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name, "gen_ai.conversation.id": "talk-1",
        }
    else:
        attributes = {"openinference.span.kind": "AGENT", "agent.name": name, "session.id": "talk-1"}
    return tracer.start_as_current_span(f"invoke_agent {name}", attributes=attributes)


def tool_span(tracer, name, convention):
    if convention == "genai":
        attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
    else:
        attributes = {"openinference.span.kind": "TOOL", "tool.name": name}
    return tracer.start_as_current_span(f"execute_tool {name}", attributes=attributes)


def main():
    protocol, endpoint, convention, environment = sys.argv[1:]
    server = HTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    resource = Resource.create({"service.name": "travel", "deployment.environment.name": environment})
    provider = TracerProvider(resource=resource)
    # Small batches: the spans of the trace go out in several requests.
    provider.add_span_processor(BatchSpanProcessor(exporter(protocol, endpoint), max_export_batch_size=2))
    trace.set_tracer_provider(provider)
    instrument(convention)
    tracer = trace.get_tracer("travel")
    client = OpenAI(base_url=f"http://127.0.0.1:{server.server_port}/v1", api_key="none", max_retries=0)

    def ask(question):
        client.chat.completions.create(model="small-1", messages=[{"role": "user", "content": question}])

    with tracer.start_as_current_span("POST /trips"):
        with agent_span(tracer, "planner", convention) as planner:
            ask("Where to?")
            with agent_span(tracer, "researcher", convention):
                ask("What is its capital?")
                try:
                    with tool_span(tracer, "find_trains", convention):
                        raise TimeoutError("no answer within 30 s")
                except TimeoutError:
                    pass
                with tool_span(tracer, "find_flights", convention):
                    pass
            planner.set_status(Status(StatusCode.OK))
    provider.shutdown()
    server.shutdown()


main()
