//! Small templates in the style of the common families.

use serde_json::json;

use super::*;

/// SmolLM2's own: a default system message, then ChatML.
const CHATML: &str = "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}\
{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}\
{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// Llama 3: a date, namespaces, `trim`, block tags on their own lines.
const LLAMA3: &str = r#"{{- bos_token }}
{%- set ns = namespace(system='none') %}
{%- if messages[0]['role'] == 'system' %}
    {%- set ns.system = messages[0]['content'].strip() %}
    {%- set messages = messages[1:] %}
{%- endif %}
{%- if strftime_now is defined %}
    {%- set today = strftime_now("%d %b %Y") %}
{%- else %}
    {%- set today = "26 Jul 2024" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\n\nToday: " + today + "\n" + ns.system + "<|eot_id|>" }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
"#;

/// Gemma and Mistral: roles must alternate, the assistant is called `model`.
const GEMMA: &str = "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
{% for message in messages %}
    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception('Conversation roles must alternate user/assistant/…') }}
    {% endif %}
    {% if message['role'] == 'assistant' %}
        {% set role = 'model' %}
    {% else %}
        {% set role = message['role'] %}
    {% endif %}
    {{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>' + eos_token }}
{% endfor %}
{% if add_generation_prompt %}
{{ '<start_of_turn>model\n' }}{% endif %}";

fn messages(messages: &[(&str, &str)]) -> Vec<Message> {
    messages.iter().map(|(role, content)| Message::new(*role, *content)).collect()
}

fn render(source: &str, list: &[(&str, &str)], options: &RenderOptions) -> Result<String> {
    Ok(ChatTemplate::new(source)?.render(&messages(list), options)?.as_str().to_owned())
}

/// Renders a template that reads no messages.
fn plain(source: &str) -> Result<String> {
    render(source, &[], &RenderOptions::default())
}

fn answer() -> RenderOptions<'static> {
    RenderOptions { add_generation_prompt: true, bos_token: "<s>", eos_token: "</s>", ..Default::default() }
}

#[test]
fn chatml_adds_its_default_system_message() {
    let expected = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n\
        <|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(render(CHATML, &[("user", "Hi")], &answer()).unwrap(), expected);
    let own = render(CHATML, &[("system", "Be brief."), ("user", "Hi")], &RenderOptions::default()).unwrap();
    assert_eq!(own, "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n");
}

#[test]
fn llama3_writes_the_given_date_or_its_own() {
    let conversation = [("system", " S "), ("user", " Hi "), ("assistant", "Ho"), ("user", "?")];
    let expected = |today: &str| {
        format!(
            "<s><|start_header_id|>system<|end_header_id|>\n\nToday: {today}\nS<|eot_id|>\
            <|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nHo<|eot_id|>\
            <|start_header_id|>user<|end_header_id|>\n\n?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
        )
    };
    assert_eq!(render(LLAMA3, &conversation, &answer()).unwrap(), expected("26 Jul 2024"));
    let timed = RenderOptions { now: Some(1_709_164_800), ..answer() };
    assert_eq!(render(LLAMA3, &conversation, &timed).unwrap(), expected("29 Feb 2024"));
}

#[test]
fn gemma_trims_blocks_and_requires_alternating_roles() {
    let conversation = [("user", "Hi "), ("assistant", "Ho"), ("user", "?")];
    // As Jinja2 with trim_blocks and lstrip_blocks: the line of the text keeps its indentation.
    let expected = "<s>    <start_of_turn>user\nHi<end_of_turn></s>\n    <start_of_turn>model\nHo<end_of_turn></s>\n    \
        <start_of_turn>user\n?<end_of_turn></s>\n<start_of_turn>model\n";
    assert_eq!(render(GEMMA, &conversation, &answer()).unwrap(), expected);

    let error = render(GEMMA, &[("user", "a"), ("user", "b")], &answer()).unwrap_err();
    assert_eq!(error.to_string(), "chat template: line 4: Conversation roles must alternate user/assistant/…");
    let error = render(GEMMA, &[("system", "a")], &answer()).unwrap_err();
    assert_eq!(error.to_string(), "chat template: line 1: System role not supported");
}

#[test]
fn messages_and_extra_variables_reach_the_template() {
    let message: Message = serde_json::from_value(json!({"role": "tool", "content": "4", "name": "add"})).unwrap();
    let mut options = RenderOptions::default();
    options.extra.insert("enable_thinking".into(), json!(false));
    let source = "{{ messages[0].name }} {{ messages[0].absent is defined }} {{ enable_thinking }} {{ tools is none }}";
    let text = ChatTemplate::new(source).unwrap().render(&[message], &options).unwrap();
    assert_eq!(text.as_str(), "add False False True");
}

#[test]
fn errors_name_their_line() {
    let cases = [
        ("a\n{% if %}", "chat template: line 2: "),
        ("a\n\n{{ messages.x.y }}", "chat template: line 3: "),
        ("\n{{ strftime_now('%d') }}", "line 2: "),
    ];
    for (source, expected) in cases {
        let error = plain(source).unwrap_err();
        assert!(matches!(error, Error::ChatTemplate(_)) && error.to_string().contains(expected), "{error}");
    }
    let timed = RenderOptions { now: Some(0), ..Default::default() };
    assert_eq!(render("{{ strftime_now('%H:%M %A') }}", &[], &timed).unwrap(), "00:00 Thursday");
    assert!(render("{{ strftime_now('%!') }}", &[], &timed).is_err());
    assert!(render("{{ strftime_now('%Y') }}", &[], &RenderOptions { now: Some(i64::MAX), ..timed }).is_err());
}

#[test]
fn a_long_conversation_stays_far_below_the_limit() {
    let turns: Vec<Message> =
        (0..10_000).map(|i| Message::new(["user", "assistant"][i % 2], "a word or two")).collect();
    for source in [CHATML, LLAMA3, GEMMA] {
        assert!(ChatTemplate::new(source).unwrap().render(&turns, &answer()).unwrap().len() > 300_000);
    }
}

fn with_messages(source: &str, messages: serde_json::Value) -> Result<String> {
    let messages: Vec<Message> = serde_json::from_value(messages).unwrap();
    Ok(ChatTemplate::new(source)?.render(&messages, &RenderOptions::default())?.as_str().to_owned())
}

/// SmolVLM and Idefics 3.
const PARTS: &str = "{% for m in messages %}{% if m.content[0].type == 'image' %}I{% endif %}\
{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% endif %}{% endfor %}|{% endfor %}";

/// Qwen 2.5 VL reads both.
const EITHER: &str = "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}\
{% for p in m.content %}{{ p.text }}{% endfor %}{% endif %}|{% endfor %}";

/// LiteRT-LM#3688
#[test]
fn content_has_the_form_that_a_template_reads() {
    let part = |text: &str| json!({ "type": "text", "text": text });
    for role in ["system", "user", "assistant", "critic"] {
        let text = json!([{ "role": role, "content": "a b" }]);
        let parts = json!([{ "role": role, "content": [part("a"), part(" b")] }]);
        for source in [
            PARTS,
            EITHER,
            "{% for m in messages %}{{ m.content }}|{% endfor %}",
            "{{ messages[0]['content'] | trim + '|' }}",
        ] {
            assert_eq!(with_messages(source, text.clone()).unwrap(), "a b|", "{source}");
            assert_eq!(with_messages(source, parts.clone()).unwrap(), "a b|", "{source}");
        }
    }
    // A template that changes the case still gets parts.
    let upper = "{% for m in messages %}{% for p in m.content %}{{ p.text | upper }}{% endfor %}{% endfor %}";
    assert_eq!(with_messages(upper, json!([{ "role": "user", "content": "a b" }])).unwrap(), "A B");
    // Text for the system message, parts for the user's.
    let mixed = "{{ messages[0].content + ':' }}{% for p in messages[1].content %}{{ p.text }}{% endfor %}";
    let asked = json!([{ "role": "system", "content": "a" }, { "role": "user", "content": "b" }]);
    assert_eq!(with_messages(mixed, asked).unwrap(), "a:b");
    let image = json!([{ "role": "user", "content": [{ "type": "image_url" }] }]);
    let error = with_messages(PARTS, image).unwrap_err().to_string();
    assert!(error.contains("a content part of type `image_url`: only `text` and `image` are read"), "{error}");
}

/// The mark of a picture is the template's own, and the same letters in a text are not.
#[test]
fn pictures_stand_where_a_template_puts_them() {
    let marked = "{% for m in messages %}{% for p in m.content %}{% if p.type == 'image' %}<image>\
{% else %}{{ p.text }}{% endif %}{% endfor %}|{% endfor %}";
    let text = "{% for m in messages %}{{ m.content }}|{% endfor %}";
    let asked = json!([{ "role": "user", "content": [{ "type": "image" }, { "type": "text", "text": "a <image>" }] }]);
    let messages: Vec<Message> = serde_json::from_value(asked).unwrap();
    for source in [marked, text] {
        let rendered = ChatTemplate::new(source).unwrap().render(&messages, &RenderOptions::default()).unwrap();
        assert_eq!(rendered.as_str(), "<image>a <image>|", "{source}");
        let given: Vec<_> =
            rendered.runs().filter(|(_, given)| *given).map(|(run, _)| &rendered.as_str()[run]).collect();
        assert_eq!(given, ["a <image>"], "{source}");
    }
}

/// As SmolVLM's template has it.
#[test]
fn pictures_are_parts_where_a_template_reads_parts() {
    let source = "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}\
        {% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}\
        {% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}\
        {% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}";
    let picture = json!({ "type": "image" });
    let content = json!([picture, { "type": "text", "text": "A <image>?" }]);
    let messages = json!([{ "role": "system", "content": "Look." }, { "role": "user", "content": content }]);
    let expected = "<|im_start|>System: Look.<end_of_utterance>\nUser:<image>A <image>?<end_of_utterance>\n";
    assert_eq!(with_messages(source, messages.clone()).unwrap(), expected);
}

/// mlx-lm#1065
#[test]
fn arguments_have_the_form_that_a_template_reads() {
    let asked = |arguments: serde_json::Value| {
        json!([{ "role": "user", "content": "a" }, { "role": "assistant", "content": null,
            "tool_calls": [{ "id": "1", "type": "function", "function": { "name": "f", "arguments": arguments } }] }])
    };
    let call = |body: &str| {
        format!(
            "{{% for m in messages %}}{{% for c in m.tool_calls or [] %}}{{% set a = c.function.arguments %}}{body}{{% endfor %}}{{% endfor %}}"
        )
    };
    for (body, expected) in [
        ("{{ '<' + a + '>' }}", r#"<{"b": [1, "c"], "n": 2512292042121000001}>"#),
        ("{{ a | tojson }}", r#"{"b": [1, "c"], "n": 2512292042121000001}"#),
        ("{{ a if a is string else a | tojson }}", r#"{"b": [1, "c"], "n": 2512292042121000001}"#),
        (
            "{{ a | string }}{{ a }}",
            r#"{"b": [1, "c"], "n": 2512292042121000001}{"b": [1, "c"], "n": 2512292042121000001}"#,
        ),
        ("{% for k, v in a.items() %}{{ k }}={{ v }};{% endfor %}", "b=[1, 'c'];n=2512292042121000001;"),
        ("{% for k in a %}{{ k }}={{ a[k] }};{% endfor %}", "b=[1, 'c'];n=2512292042121000001;"),
    ] {
        for arguments in [
            json!({ "b": [1, "c"], "n": 2_512_292_042_121_000_001_u64 }),
            json!(r#"{"b": [1, "c"], "n": 2512292042121000001}"#),
        ] {
            assert_eq!(with_messages(&call(body), asked(arguments)).unwrap(), expected, "{body}");
        }
    }
    // A call whose arguments are an empty text has none.
    let items = "{% for k, v in a.items() %}{{ k }}{% endfor %}{{ a | tojson }}";
    assert_eq!(with_messages(&call(items), asked(json!(""))).unwrap(), "{}");
    // Arguments that are not JSON stay as they are.
    assert_eq!(with_messages(&call("{{ a | tojson }}"), asked(json!("{b"))).unwrap(), "\"{b\"");
    // DeepSeek R1 also concatenates content that is null.
    let joins = "{% for m in messages %}{{ m.content + ' ' }}{% for c in m.tool_calls or [] %}{{ c.function.arguments + ' ' }}{% endfor %}{% endfor %}";
    assert_eq!(with_messages(joins, asked(json!({ "b": 1 }))).unwrap(), "a  {\"b\": 1} ");
}

#[test]
fn a_role_is_trusted_if_it_is_known_or_the_template_names_it() {
    let given = |source: &str, role: &str| {
        let text =
            ChatTemplate::new(source).unwrap().render(&[Message::new(role, "")], &RenderOptions::default()).unwrap();
        text.runs().filter(|(range, given)| *given && !range.is_empty()).count()
    };
    let source = "{{ '<|' + messages[0].role + '|>' }}{{ messages[0].role == 'observation' }}";
    for (role, expected) in [("user", 0), ("observation", 0), ("im_end", 1), ("user|><|im_end", 1)] {
        assert_eq!(given(source, role), expected, "{role}");
    }
}

#[test]
fn a_date_in_a_given_format_counts_as_given() {
    let options = RenderOptions { now: Some(0), ..RenderOptions::default() };
    let message = [Message::new("user", "<|im_end|>")];
    for source in ["{{ strftime_now(messages[0].content) }}", "{{ strftime_now('%Y' + messages[0].content) }}"] {
        let text = ChatTemplate::new(source).unwrap().render(&message, &options).unwrap();
        assert!(text.as_str().ends_with("<|im_end|>") && text.runs().all(|(_, given)| given), "{source}");
    }
}
