//! Templates in the manner of the common families, written small.

use serde_json::json;

use super::*;

/// SmolLM2's own: a default system message, then ChatML.
const CHATML: &str = "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}\
{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}\
{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// Llama 3: a date, namespaces, `trim`, blocks on lines of their own.
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

/// Gemma and Mistral: roles must alternate, `assistant` has another name.
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
    ChatTemplate::new(source)?.render(&messages(list), options)
}

/// Renders a template that reads no messages.
fn plain(source: &str) -> Result<String> {
    render(source, &[], &RenderOptions::default())
}

fn answer() -> RenderOptions<'static> {
    RenderOptions { add_generation_prompt: true, bos_token: "<s>", eos_token: "</s>", ..Default::default() }
}

#[test]
fn the_source_has_what_the_template_writes() {
    let source = "{% if tools %}{{ '<tool_call>' + messages[0]['content'] + '</think>' }}{% endif %}[TOOL_CALLS]";
    let source = ChatTemplate::new(source).unwrap().source().unwrap();
    for text in ["tools", "<tool_call>", "</think>", "[TOOL_CALLS]"] {
        assert!(source.contains(text), "{source}");
    }
}

#[test]
fn chatml_with_its_default_system_message() {
    let expected = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n\
        <|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(render(CHATML, &[("user", "Hi")], &answer()).unwrap(), expected);
    let own = render(CHATML, &[("system", "Be brief."), ("user", "Hi")], &RenderOptions::default()).unwrap();
    assert_eq!(own, "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n");
}

#[test]
fn llama3_with_and_without_the_time() {
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
fn gemma_trims_blocks_and_refuses_what_does_not_alternate() {
    let conversation = [("user", "Hi "), ("assistant", "Ho"), ("user", "?")];
    // What Jinja2 gives with trim_blocks and lstrip_blocks: the line of the text keeps its indentation.
    let expected = "<s>    <start_of_turn>user\nHi<end_of_turn></s>\n    <start_of_turn>model\nHo<end_of_turn></s>\n    \
        <start_of_turn>user\n?<end_of_turn></s>\n<start_of_turn>model\n";
    assert_eq!(render(GEMMA, &conversation, &answer()).unwrap(), expected);

    let error = render(GEMMA, &[("user", "a"), ("user", "b")], &answer()).unwrap_err();
    assert_eq!(error.to_string(), "chat template: line 4: Conversation roles must alternate user/assistant/…");
    let error = render(GEMMA, &[("system", "a")], &answer()).unwrap_err();
    assert_eq!(error.to_string(), "chat template: line 1: System role not supported");
}

#[test]
fn json_is_pythons() {
    let tools = json!([{"name": "f<x>", "args": {"z": 1, "a": [true, null, 1.5, "é'"]}, "none": []}]);
    let options = RenderOptions { tools: Some(&tools), ..Default::default() };
    assert_eq!(
        render("{{ tools | tojson }}", &[], &options).unwrap(),
        r#"[{"name": "f<x>", "args": {"z": 1, "a": [true, null, 1.5, "é'"]}, "none": []}]"#
    );
    let indented = "{\n  \"z\": 1,\n  \"a\": [\n    true\n  ]\n}";
    assert_eq!(plain("{{ {'z': 1, 'a': [true]} | tojson(indent=2) }}").unwrap(), indented);
    assert_eq!(plain("{{ {'z': 1, 'a': [true]} | tojson(2) }}").unwrap(), indented);
    assert!(plain("{{ 1 | tojson(sort_keys=true) }}").is_err());
    assert_eq!(plain("{{ ['é', '😀'] | tojson(ensure_ascii=true) }}").unwrap(), r#"["\u00e9", "\ud83d\ude00"]"#);
    assert_eq!(plain("{{ 'é' | tojson(ensure_ascii=false) }}").unwrap(), "\"é\"");
}

#[test]
fn python_methods_and_loop_controls() {
    let source = "{% for k, v in {'b': 1, 'a': 2}.items() %}{% if v == 2 %}{% break %}{% endif %}{{ k.upper() }}{% endfor %}\
        {{ ' x,y '.strip().split(',')[-1] }}{{ 'abc'.startswith('ab') }}{{ [1, 2, 3][::-1] }}";
    assert_eq!(plain(source).unwrap(), "ByTrue[3, 2, 1]");
}

#[test]
fn messages_and_extra_variables_reach_the_template() {
    let message: Message = serde_json::from_value(json!({"role": "tool", "content": "4", "name": "add"})).unwrap();
    let mut options = RenderOptions::default();
    options.extra.insert("enable_thinking".into(), json!(false));
    let source = "{{ messages[0].name }} {{ messages[0].absent is defined }} {{ enable_thinking }} {{ tools is none }}";
    let text = ChatTemplate::new(source).unwrap().render(&[message], &options).unwrap();
    assert_eq!(text, "add False False True");
}

/// Qwen3-Coder asks for the length of whatever is iterable.
#[test]
fn none_is_not_iterable() {
    assert_eq!(plain("{{ tools is iterable and tools | length > 0 }}").unwrap(), "False");
    let kinds =
        "{{ none is iterable }} {{ [] is iterable }} {{ {} is iterable }} {{ 'a' is iterable }} {{ 1 is iterable }}";
    assert_eq!(plain(kinds).unwrap(), "False True True True False");
}

#[test]
fn generation_marks_do_nothing() {
    let source = "a {%- generation -%} b {%- endgeneration %} c{% set generation = 1 %}{{ generation }} {% generation";
    assert_eq!(
        plain_generation_blocks(source),
        "a {%- if true -%} b {%- endif %} c{% set generation = 1 %}{{ generation }} {% generation"
    );
    assert_eq!(plain("a {%- generation -%} b {%- endgeneration %} c").unwrap(), "ab c");
}

#[test]
fn faults_name_their_line() {
    let cases = [
        ("a\n{% if %}", "chat template: line 2: "),
        ("a\n\n{{ messages.x.y }}", "chat template: line 3: "),
        ("{{ nobody() }}", "line 1: "),
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
fn a_long_conversation_is_far_from_the_limit() {
    let turns: Vec<Message> =
        (0..10_000).map(|i| Message::new(["user", "assistant"][i % 2], "a word or two")).collect();
    for source in [CHATML, LLAMA3, GEMMA] {
        assert!(ChatTemplate::new(source).unwrap().render(&turns, &answer()).unwrap().len() > 300_000);
    }
}

#[test]
fn a_hostile_template_stops() {
    let loops = "{% for a in range(99999) %}{% for b in range(99999) %}{{ b }}{% endfor %}{% endfor %}";
    let error = plain(loops).unwrap_err().to_string();
    assert!(error.contains("too many steps"), "{error}");
    for source in [
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}".to_owned(),
        "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}".to_owned(),
        "{{ ".to_owned() + &"(".repeat(10_000),
        "{{ 'x' * 99999999999 }}".to_owned(),
    ] {
        assert!(plain(&source).is_err(), "{}", &source[..20]);
    }
}

/// What fuel does not bound: each took the stack of a page, gigabytes, or minutes.
#[test]
fn a_template_cannot_take_the_stack_or_the_memory() {
    let long = |text: &str| text.repeat(100_000);
    let sources = [
        format!("{{{{ a{} }}}}", long(".a")),
        format!("{{{{ 1{} }}}}", long("+1")),
        format!("{{{{ {}1 }}}}", long("not ")),
        format!("{{% if 0 %}}{}{{% endif %}}", long("{% elif 0 %}")),
        "{{ '".to_owned() + &long("a") + &long("b") + &long("c") + "' }}",
        "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}".to_owned(),
        "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns | tojson }}".to_owned(),
        "{% set ns = namespace() %}{% set ns.x = ns %}{{ ','.join([ns]) }}".to_owned(),
        "{% set ns = namespace(x='a') %}{% for i in range(28) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | tojson(9) }}".to_owned(),
        "{% set ns = namespace(x='a') %}{% for i in range(28) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}".to_owned(),
        "{% block a %}{{ self.a() }}{% endblock %}".to_owned(),
        "{% set ns = namespace() %}{% set ns.x = ns %}{{ debug() }}".to_owned(),
        "{% set ns = namespace(x='a') %}{% for i in range(20) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | tojson(16) }}".to_owned(),
        "{% set ns = namespace(x=[]) %}{% for i in range(90000) %}{% set ns.x = [ns.x] %}{% endfor %}".to_owned(),
        format!("{}{{{{ x == x }}}}", "{% set x = [x, x] %}".repeat(40)),
        "{% set a = namespace() %}{% set b = namespace() %}{% set a.x = b %}{% set b.x = a %}{{ a == b }}".to_owned(),
        "{{ ('a' * 100000).replace('a', 'b' * 100000) }}".to_owned(),
        "{{ ('a' * 100000).join(('b' * 100000) | list) }}".to_owned(),
        "{{ '{:99999999999}'.format(1) }}".to_owned(),
    ];
    let small_stack = || {
        for source in &sources {
            assert!(plain(source).is_err(), "{}", &source[..40]);
        }
        assert_eq!(plain("{{ [1, {'a': 'b'}] | tojson }} {{ '{:02d}'.format(7) }}").unwrap(), r#"[1, {"a": "b"}] 07"#);
    };
    std::thread::scope(|scope| {
        std::thread::Builder::new().stack_size(1 << 20).spawn_scoped(scope, small_stack).unwrap();
    });
}

/// Each would compare, hash or print for ever, or take gigabytes, though it is a few hundred steps.
#[test]
fn a_template_cannot_nest_a_value_to_compare_it_for_ever() {
    let nest = |inner: &str| {
        format!(
            "{{% macro m(x, y, n) %}}{{% if n %}}{{{{ m([x, x], [y, y], n - 1) }}}}{{% else %}}{inner}{{% endif %}}{{% endmacro %}}{{{{ m(1, 1, 60) }}}}"
        )
    };
    let with = |inner: &str| {
        let (open, close) = ("{% with x = [x, x], y = [y, y] %}".repeat(60), "{% endwith %}".repeat(60));
        format!("{{% set x = 1 %}}{{% set y = 1 %}}{open}{inner}{close}")
    };
    let loops = |inner: &str| {
        let (open, close) = ("{% for x, y in [([x, x], [y, y])] %}".repeat(60), "{% endfor %}".repeat(60));
        format!("{{% set x = 1 %}}{{% set y = 1 %}}{open}{inner}{close}")
    };
    let recursive = "{% for x in [1] recursive %}{{ loop([[x, x]]) }}{% endfor %}".to_owned();
    let called = "{% macro m(n, x) %}{{ caller(x) }}{% endmacro %}{% macro w(n, x) %}{% if n %}\
        {% call(z) m(n, [x, x, x, x, x, x, x, x]) %}{{ w(n - 1, z) }}{% endcall %}{% endif %}{% endmacro %}{{ w(15, 1) }}"
        .to_owned();
    // Values that fit are compared again and again: two of 16,000 elements each.
    let often = |compare: &str| {
        let double = "{% set x = [x, x] %}{% set y = [y, y] %}".repeat(13);
        format!("{{% set x = 1 %}}{{% set y = 1 %}}{double}{{% for i in range(90000) %}}{compare}{{% endfor %}}")
    };
    let mut sources = vec![recursive, called];
    for inner in ["{{ x == y }}", "{{ {x: 1}[y] }}", "{{ [x, y] | unique }}", "{{ x ~ '' }}"] {
        sources.extend([nest(inner), with(inner), loops(inner)]);
    }
    for compare in [
        "{% if x == y %}{% endif %}",
        "{% if not x != y %}{% endif %}",
        "{% if 1 < x <= y %}{% endif %}",
        "{% if x in [y] %}{% endif %}",
        "{% if x not in [y] %}{% endif %}",
        "{% if x is eq y %}{% endif %}",
        "{% if x is not ne(y) %}{% endif %}",
        "{% if x is in [y] %}{% endif %}",
        "{% if [x] | select('equalto', y) | first %}{% endif %}",
        "{% if {x: 1}[y] %}{% endif %}",
        "{% if {y: 1} %}{% endif %}",
        "{% if {} | attr(y) %}{% endif %}",
        "{% if {}.get(y) %}{% endif %}",
        "{% if [x, y] | sort | length %}{% endif %}",
        "{% if [x, y] | unique | length %}{% endif %}",
        "{% if [x, y] | max %}{% endif %}",
        "{% if loop.changed(x if i % 2 else y) %}{% endif %}",
        "{% if '1' + 1 ~ x %}{% endif %}",
        "{% if x | string | length %}{% endif %}",
        "{% if [x, y] | map('string') | list | length %}{% endif %}",
        "{% if [x, y] | join | length %}{% endif %}",
    ] {
        sources.push(often(compare));
    }
    let small_stack = || {
        for source in &sources {
            let mut template = ChatTemplate::new(source).unwrap();
            // Less than a rendering has, so that the test is quick.
            template.environment.set_fuel(Some(FUEL / 10));
            let error = template.render(&[], &RenderOptions::default()).unwrap_err().to_string();
            assert!(
                ["too many steps", "nested more than", "recursion limit"].iter().any(|limit| error.contains(limit)),
                "{error}: {source:.200}"
            );
        }
    };
    std::thread::scope(|scope| {
        std::thread::Builder::new().stack_size(1 << 20).spawn_scoped(scope, small_stack).unwrap();
    });
}

/// By such a number the library divides by zero, where addresses have 32 bits.
#[test]
fn a_slice_by_no_small_number_is_refused() {
    for step in ["-9223372036854775808", "-9223372036854775807 - 1", "4294967296"] {
        assert!(plain(&format!("{{{{ [1, 2][::{step}] }}}}")).is_err(), "{step}");
    }
    assert_eq!(plain("{{ [1, 2, 3][::-2] }} {{ [1, 2, 3][-2:] }} {{ 'abc'[1] }}").unwrap(), "[3, 1] [2, 3] b");
}

/// The checks are written into the template, and may not change what it says.
#[test]
fn checks_leave_expressions_as_they_are() {
    for (source, expected) in [
        ("{{ '1' + 2 ~ 3 }} {{ 1 ~ 2 * 3 ~ -4 }} {{ 'a' ~ 1 == 'a1' }} {{ 7 - 2 - 1 }}", "123 16-4 True 4"),
        ("{{ 1 < 2 < 3 }} {{ not 1 == 2 }} {{ 1 in [1] and 2 not in [1] or false }}", "True True True"),
        (
            "{{ 3 if 1 == 1 else 4 }} {{ (1, 2) == (1, 2) }} {{ [1 == 1, 2] }} {{ {'a': 1 == 2, 1 ~ 2: 3} }}",
            "3 True [True, 2] {'a': False, '12': 3}",
        ),
        ("{{ 1 is not none == true }} {{ 2 is in [1, 2] }} {{ 2 is not eq 3 }} {{ {'in': 1}.in }}", "True True True 1"),
        ("{% for a, b in [(1, 2), (3, 4)] if a in [3] %}{{ a }}{{ b }}{{ loop.index }}{% endfor %}", "341"),
        ("{% for a in [1, [2]] recursive %}{{ loop(a) if a is iterable else a }}{% endfor %}", "12"),
        (
            "{%- macro m(a, b=[1, (2)]) -%} {{ a }}{{ b }}{{ c is defined }} {%- endmacro -%} {{ m('x') }}{{ m(1, b=2) }}",
            "x[1, 2]False12False",
        ),
        (
            "{% macro m(f) %}{{ caller(f, 2) }}{% endmacro %}{% call(a, b) m(1 == 1) %}{{ a }}{{ b }}{% endcall %}",
            "True2",
        ),
        ("{% with a = 1 == 1, (b, c) = (2, [3]) %}\n  {{ a }}{{ b }}{{ c }}{% endwith %}", "  True2[3]"),
        ("{% macro ns(n) %}{% set n.x = n.x + 1 %}{% endmacro %}{% set n = namespace(x=1) %}{{ ns(n) }}{{ n.x }}", "2"),
        ("{{ {'a b': [1, 2, 3]}['a' ~ ' b'][1:][0] }} {{ 'a-b'.split('-')[-1] | upper | replace('B', 'c') }}", "2 c"),
        (
            "{% filter upper | replace('A', 'b') %}a{% endfilter %}{% set x | trim | upper %} y {% endset %}{{ x }}",
            "bY",
        ),
        (
            "{{ [3, 1] | sort | join(',') }} {{ [{'a': 1}, {'a': 2}] | selectattr('a', 'equalto', 2) | map(attribute='a') | list }}",
            "1,3 [2]",
        ),
    ] {
        assert_eq!(plain(source).unwrap(), expected, "{source}");
    }
}

#[test]
fn a_set_assigns_what_it_says() {
    let source =
        "{% set x = 1 if true else 2 -%} {% set a, b = 3, [4] %}{% set ns = namespace(c=5) %}{% set ns.c = ns.c + 1 %}
{%- set d | indent(width=2) %}x
y{% endset %}{% set e = '%}' ~ u %}{{ x }} {{ a }} {{ b }} {{ ns.c }} {{ d }} {{ e }}";
    assert_eq!(plain(source).unwrap(), "1 3 [4] 6 x\n  y %}");
}

/// A template that could name another would make the page read what the model file says.
#[test]
fn a_template_reaches_no_other() {
    for source in [
        "{% include 'https://example.org/x' %}",
        "{% include ['a', 'https://example.org/x'] %}",
        "{% import '/etc/passwd' as x %}",
        "{% from 'https://example.org/x' import y %}",
        "{% extends 'https://example.org/x' %}",
    ] {
        assert!(plain(source).is_err(), "{source}");
    }
}
