"""The stock MCP client: connects as one agent and does what an agent does; prints what it saw as JSON.

mcp_client.py http URL TOKEN legacy|auto
mcp_client.py stdio COMMAND ARGUMENTS_AS_JSON ENVIRONMENT_AS_JSON legacy|auto
The calls to make come in on standard input: a JSON list of [tool, arguments].
"""

import asyncio
import json
import sys

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client


async def visit(client: Client, calls: list) -> dict:
    tools = await client.list_tools()
    resources = await client.list_resources()
    prompts = await client.list_prompts()
    seen = {
        "tools": [tool.name for tool in tools.tools],
        "resources": {},
        "prompts": {},
        "said": [],
    }
    for resource in resources.resources:
        read = await client.read_resource(resource.uri)
        seen["resources"][resource.name] = read.contents[0].text
    for prompt in prompts.prompts:
        got = await client.get_prompt(prompt.name)
        seen["prompts"][prompt.name] = got.messages[0].content.text
    for tool, arguments in calls:
        result = await client.call_tool(tool, arguments)
        seen["said"].append(
            {"failed": bool(result.is_error), "content": json.loads(result.content[0].text)}
        )
    return seen


async def main() -> None:
    how, *rest = sys.argv[1:]
    calls = json.load(sys.stdin)
    if how == "http":
        url, token, mode = rest
        headers = {"authorization": f"Bearer {token}"} if token else {}
        async with httpx2.AsyncClient(headers=headers, trust_env=False) as http:
            async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
                seen = await visit(client, calls)
    else:
        command, arguments, environment, mode = rest
        server = StdioServerParameters(
            command=command, args=json.loads(arguments), env=json.loads(environment)
        )
        async with Client(server, mode=mode) as client:
            seen = await visit(client, calls)
    print(json.dumps(seen))


asyncio.run(main())
