"""Tools are called once if the turn asks for them, with its own words as arguments."""

import json

import pytest

from sunra_integrations.sandbox.rule_based.replies import default_reply

STRING, INTEGER, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}


def tool(name, description="", required=None, **properties):
    parameters = {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
    }
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters},
    }


WEATHER = tool("get_weather", "Get the weather at a location.", location=STRING)
TIME = tool("get_time", "Get the current time in a city.", city=STRING)
ADD = tool("add", "Add two numbers.", a=NUMBER, b=NUMBER)
MULTIPLY = tool("multiply", "Multiply two numbers.", a=NUMBER, b=NUMBER)
SEARCH = tool("search_docs", "Search the documentation.", query=STRING)
CLOCK = tool("get_current_time", "Tells the time.")


def calls(messages, tools, **parameters):
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    request = {"model": "a/b", "messages": messages, "tools": tools, **parameters}
    message = default_reply(request).choices[0].message
    return [
        (call["function"]["name"], json.loads(call["function"]["arguments"]))
        for call in message.get("tool_calls", ())
    ]


BOOKING = tool(
    "book_flight",
    "Book a flight",
    origin=STRING,
    destination=STRING,
    date={"type": "string", "format": "date"},
    cabin={"enum": ["economy", "business"]},
    adults=INTEGER,
    flexible={"type": "boolean"},
)

ASKED = [
    ("What is the weather in San Francisco, CA?", [WEATHER],
     [("get_weather", {"location": "San Francisco, CA"})]),
    ("What is the weather in Paris, France?", [WEATHER],
     [("get_weather", {"location": "Paris, France"})]),
    ("What is the weather in Paris and in Tokyo?", [WEATHER],
     [("get_weather", {"location": "Paris"}), ("get_weather", {"location": "Tokyo"})]),
    ("weather for 'new york', 'oslo' and 'lima'", [WEATHER],
     [("get_weather", {"location": "new york"}), ("get_weather", {"location": "oslo"}),
      ("get_weather", {"location": "lima"})]),
    ("What's the weather in Paris and the time in Tokyo?", [WEATHER, TIME],
     [("get_weather", {"location": "Paris"}), ("get_time", {"city": "Tokyo"})]),
    ("北京的天气怎么样?", [tool("get_weather", "查询城市天气", city=STRING)],
     [("get_weather", {"city": "北京"})]),
    ("What is 1 + 2", [ADD], [("add", {"a": 1, "b": 2})]),
    ("Add 1.50 and -2,000.", [ADD], [("add", {"a": 1.5, "b": -2000})]),
    ("add 1 and 2, also add 3 and 4", [ADD],
     [("add", {"a": 1, "b": 2}), ("add", {"a": 3, "b": 4})]),
    ("calculate 3 * (4 + 5) please", [tool("calculator", "Evaluates a sum.", expression=STRING)],
     [("calculator", {"expression": "3 * (4 + 5)"})]),
    ("What time is it? Use get_current_time.", [CLOCK], [("get_current_time", {})]),
    ("What is the refund policy?", [SEARCH],
     [("search_docs", {"query": "What is the refund policy?"})]),
    ("Book a flight to Tokyo from Paris on 2025-03-01 in business class for 2 adults", [BOOKING],
     [("book_flight", {"origin": "Paris", "destination": "Tokyo", "date": "2025-03-01",
                       "cabin": "business", "adults": 2, "flexible": False})]),
    ("find 5 papers about ‘dark matter’",
     [tool("search_papers", "", ["query"], query=STRING, limit=INTEGER)],
     [("search_papers", {"query": "dark matter"})]),
    ("search papers on dark matter, limit 5",
     [tool("search_papers", "", ["limit"], limit=INTEGER)], [("search_papers", {"limit": 5})]),
    ("Email ann@example.com about 'Q3'",
     [tool("send_email", "Send an email", to=STRING, subject=STRING)],
     [("send_email", {"to": "ann@example.com", "subject": "Q3"})]),
    ("What is 3 times 4?", [ADD, MULTIPLY], [("multiply", {"a": 3, "b": 4})]),
    ("Create a customer named '你好啊集团' (Hello Group)",
     [tool("new_customer", "Create a customer", customer_name=STRING)],
     [("new_customer", {"customer_name": "你好啊集团"})]),
    ("Using the tool, generate a pirate greeting",
     [tool("greeting_generator", "Generates a greeting in a style", answer_style=STRING)],
     [("greeting_generator", {"answer_style": "pirate"})]),
    ("Tag the note with 'red' and 'blue'",
     [tool("tag_note", "Tags a note", tags={"type": "array", "items": STRING})],
     [("tag_note", {"tags": ["red", "blue"]})]),
    ("Hello!", [WEATHER, ADD, SEARCH], []),
    ("How are you?", [WEATHER, ADD, SEARCH], []),
    ("Thank you very much", [WEATHER, TIME], []),
]  # fmt: skip


@pytest.mark.parametrize(("turn", "tools", "expected"), ASKED, ids=[case[0] for case in ASKED])
def test_a_turn_is_met_with_the_calls_it_asks_for(turn, tools, expected):
    assert calls(turn, tools) == expected


def test_required_calls_a_tool_though_nothing_fits():
    assert len(calls("Hello!", [WEATHER, ADD], tool_choice="required")) == 1


def test_a_named_tool_is_called_though_another_fits_better():
    choice = {"type": "function", "function": {"name": "add"}}
    assert [name for name, _ in calls("Weather in Paris?", [WEATHER, ADD], tool_choice=choice)] == [
        "add"
    ]


def test_none_calls_nothing():
    assert calls("Weather in Paris?", [WEATHER], tool_choice="none") == []


def test_without_parallel_calls_they_come_one_after_another():
    turn = "What is the weather in Paris and in Tokyo?"
    messages = [{"role": "user", "content": turn}]
    asked = []
    while found := calls(messages, [WEATHER], parallel_tool_calls=False):
        assert len(found) == 1
        asked += found
        messages = [*messages, *answered(found, "It is sunny.", start=len(asked))]
    assert [arguments["location"] for _, arguments in asked] == ["Paris", "Tokyo"]


def answered(found, result, start=0):
    """The assistant message that made these calls, and their results."""
    made = [
        {
            "id": f"c{start}-{index}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        for index, (name, arguments) in enumerate(found)
    ]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": result} for call in made]
    return [{"role": "assistant", "content": None, "tool_calls": made}, *results]


def test_results_are_answered_with_and_the_tool_is_not_called_again():
    messages = [{"role": "user", "content": "What is the weather in Paris?"}]
    messages += answered(calls(messages, [WEATHER]), "It's sunny, 21 °C.")
    request = {"model": "a/b", "messages": messages, "tools": [WEATHER]}
    message = default_reply(request).choices[0].message
    assert message["content"] == "It's sunny, 21 °C."
    assert "tool_calls" not in message


def test_a_step_that_waits_for_another_takes_its_result():
    messages = [{"role": "user", "content": "Multiply 3 by 4, then add 5"}]
    first = calls(messages, [MULTIPLY, ADD])
    messages += answered(first, "12")
    second = calls(messages, [MULTIPLY, ADD])
    messages += answered(second, "17", start=1)
    assert first == [("multiply", {"a": 3, "b": 4})]
    assert second == [("add", {"a": 12, "b": 5})]
    assert calls(messages, [MULTIPLY, ADD]) == []


def test_a_new_turn_calls_the_tool_anew():
    messages = [{"role": "user", "content": "Weather in Paris?"}]
    messages += answered(calls(messages, [WEATHER]), "Sunny.")
    messages += [{"role": "assistant", "content": "Sunny."}]
    messages += [{"role": "user", "content": "And the weather in Rome?"}]
    assert calls(messages, [WEATHER]) == [("get_weather", {"location": "Rome"})]


def test_a_long_result_is_answered_with_its_nearest_sentence():
    pages = "Bananas are yellow. " * 60 + "The refund policy allows 30 days."
    messages = [{"role": "user", "content": "What is the refund policy?"}]
    messages += answered(calls(messages, [SEARCH]), pages)
    message = default_reply({"model": "a/b", "messages": messages}).choices[0].message
    assert message["content"] == "The refund policy allows 30 days."


def test_tools_come_before_the_json_that_was_asked_for():
    shape = {"type": "object", "properties": {"weather": STRING}, "required": ["weather"]}
    form = {"type": "json_schema", "json_schema": {"name": "w", "schema": shape}}
    messages = [{"role": "user", "content": "Weather in Paris?"}]
    request = {"model": "a/b", "tools": [WEATHER], "response_format": form}
    first = default_reply({**request, "messages": messages}).choices[0]
    messages += answered(calls(messages, [WEATHER]), "Sunny.")
    second = default_reply({**request, "messages": messages}).choices[0]
    assert first.finish_reason == "tool_calls"
    assert json.loads(second.message["content"]) == {"weather": "Sunny."}
