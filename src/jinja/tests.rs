//! Each part of the language on small templates, compared with Python's results.
//! `npm run test:models` compares whole published templates.

use proptest::prelude::*;

use super::*;

fn plain(source: &str) -> Result<String, String> {
    rendered(source, &[]).map(|text| text.as_str().to_owned())
}

/// Renders with given texts.
fn rendered(source: &str, given: &[(&str, &str)]) -> Result<Text, String> {
    let variables = given.iter().map(|(name, text)| ((*name).into(), Value::Str(Text::given(text)))).collect();
    Template::new(source).and_then(|template| template.render(variables)).map_err(|fault| fault.to_string())
}

/// Renders with a small budget, so that tests that use it up are quick.
fn within(source: &str, units: u64) -> Result<usize, String> {
    let template = Template::new(source).map_err(|fault| fault.to_string())?;
    let text =
        interpreter::render(&template.body, Vec::new(), &Budget::of(units)).map_err(|fault| fault.to_string())?;
    Ok(text.len())
}

#[test]
fn expressions_give_what_python_gives() {
    for (expression, expected) in [
        ("1 + 2 * 3 - 4 / 2", "5.0"),
        ("-7 // 2 ~ ' ' ~ -7 % 3 ~ ' ' ~ 2 ** 3 ** 2 ~ ' ' ~ -2 ** 2", "-4 2 64 4"),
        ("1.0 ~ ' ' ~ 1e16 ~ ' ' ~ 1e-5 ~ ' ' ~ (0.1 + 0.2)", "1.0 1e+16 1e-05 0.30000000000000004"),
        (
            "[1, 'a', None, true, 1.5, {'k': \"it's\"}, (1,), ()]",
            "[1, 'a', None, True, 1.5, {'k': \"it's\"}, (1,), ()]",
        ),
        ("['\\n\\té\\x01\\\\']", "['\\n\\té\\x01\\\\']"),
        ("'abcdef'[1:5:2] ~ 'abc'[::-1] ~ 'abc'[-1] ~ 'é日本'[1:] ~ 'abc'[7]", "bdcbac日本"),
        ("[1, 2, 3][::-2] ~ [1, 2, 3][-2:] ~ [1, 2][10:]", "[3, 1][2, 3][]"),
        ("1 < 2 < 3 and not 1 == 2 and 'a' in 'abc' and 1 in [1.0] and 'x' not in {'a': 1}", "True"),
        ("'x' * 3 ~ 2 * [1, 2] ~ ((1, 2) + (3,))", "xxx[1, 2, 1, 2](1, 2, 3)"),
        ("'a' 'b' \"c\" ~ 0x1F ~ 0b11 ~ 1_000 ~ '\\u00e9\\x41\\101\\q'", "abc3131000éAA\\q"),
        ("x is defined ~ x ~ x | default('d') ~ x | length ~ (x or {}).y", "Falsed0"),
        ("1 if false", ""),
        (
            "'ΑΣ'.lower() ~ 'ß'.upper() ~ 'hello-world (foo)' | title ~ \"they're\".title()",
            "αςSSHello-World (Foo)They'Re",
        ),
        (
            "' a  b c '.split() ~ ' a  b c '.rsplit(none, 1) ~ 'a,b,c'.split(',', 1)",
            "['a', 'b', 'c'][' a  b', 'c']['a', 'b,c']",
        ),
        ("'a-b-c'.partition('-') ~ 'abc'.rpartition('-')", "('a', '-', 'b-c')('', '', 'abc')"),
        ("'abc'.removeprefix('a').removesuffix('c') ~ '-5'.zfill(4) ~ 'abc'.center(8, '*')", "b-005**abc***"),
        ("'abc'.startswith(('x', 'a')) ~ 'abcabc'.find('c', 3) ~ 'abc'.replace('', '-')", "True5-a-b-c-"),
        ("'%s|%5.2f|%-5s|%05d|%x|%%' % ('a', 3.14159, 'b', 42, 255)", "a| 3.14|b    |00042|ff|%"),
        ("'%(a)s %(b)r' % {'a': 1, 'b': 'c'} ~ '%s' % [1]", "1 'c'[1]"),
        ("'{} {b} {0[1]:>4} {:,} {!r}'.format([1, 2], 1234567, 'x', b='y')", "[1, 2] y    2 1,234,567 'x'"),
        ("{'items': 1}.items is callable ~ {'a': 1}.items() ~ {'a': {'b': 2}}.a.b", "Truedict_items([('a', 1)])2"),
        ("[3, 1] | sort ~ ['b', 'A'] | sort ~ [1, 1] | unique | list ~ [1, 2] | sum", "[1, 3]['A', 'b'][1]3"),
        (
            "[{'t': 'a', 'v': 1}, {'t': 'b', 'v': 2}] | groupby('t') | map(attribute='list') | list",
            "[[{'t': 'a', 'v': 1}], [{'t': 'b', 'v': 2}]]",
        ),
        (
            "[1, 2, 3] | select('odd') | list ~ [{'a': 1}, {'a': 2}] | selectattr('a', 'eq', 2) | list",
            "[1, 3][{'a': 2}]",
        ),
        ("'4.7' | int ~ 'x' | int(7) ~ '0x1f' | int(base=16) ~ 2.5 | round ~ 5 | round ~ '3.5' | float", "47312.053.5"),
        ("'a\\nb\\n\\nc' | indent ~ 'a b&c' | urlencode ~ '<a>' | e", "a\n    b\n\n    ca%20b%26c&lt;a&gt;"),
        ("{'é': [1, {}], 'b': '\\u0001\"'} | tojson", r#"{"é": [1, {}], "b": "\u0001\""}"#),
        (
            "{'b': [1], 'a': 'é'} | tojson(indent=2, ensure_ascii=true, sort_keys=true)",
            "{\n  \"a\": \"\\u00e9\",\n  \"b\": [\n    1\n  ]\n}",
        ),
        ("{1: 2, none: 3} | tojson(separators=(',', ':'))", r#"{"1":2,"null":3}"#),
        (
            "none is iterable ~ [] is iterable ~ x is iterable ~ true is number ~ true is integer",
            "FalseTrueTrueTrueFalse",
        ),
        (
            "range(2, 10, 3) | list ~ dict([('a', 1)], b=2) ~ namespace(a=1).a ~ joiner(',')()",
            "[2, 5, 8]{'a': 1, 'b': 2}1",
        ),
    ] {
        assert_eq!(plain(&format!("{{{{ {expression} }}}}")).as_deref(), Ok(expected), "{expression}");
    }
}

#[test]
fn statements_render_as_in_jinja2() {
    for (source, expected) in [
        ("{% for i in [1, 2] %}{{ loop.index }}{{ loop.last }}{{ loop.nextitem }}{% endfor %}", "1False22True"),
        ("{% for c in 'aé' %}{{ loop.revindex }}{{ c }}{{ loop.nextitem }}{% endfor %}", "2aé1é"),
        ("{% for i in [1, 2, 3] if i is odd %}{{ i }}{{ loop.length }}{% else %}none{% endfor %}", "1232"),
        ("{% for i in [] %}a{% else %}b{% endfor %}", "b"),
        ("{% for i in [1, 2, 3] %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}", "13"),
        (
            "{% for i in [1, [2]] recursive %}{{ loop(i) if i is iterable else i }}d{{ loop.depth }}{% endfor %}",
            "1d12d2d1",
        ),
        ("{% set x = 1 %}{% for i in [1, 2] %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}", "231"),
        ("{% set ns = namespace(x=0) %}{% for i in [1, 2] %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}", "3"),
        ("{% set a, b = 1, (2, 3) %}{{ a }}{{ b }}{% set c | upper %}x{{ a }}{% endset %}{{ c }}", "1(2, 3)X1"),
        (
            "{% macro m(a, b=2) %}{{ a }}{{ b }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 3, 4, x=5) }}",
            "13(4,){'x': 5}",
        ),
        ("{% macro m() %}[{{ caller(1) }}]{% endmacro %}{% call(a) m() %}{{ a }}{% endcall %}", "[1]"),
        ("{% macro f(n) %}{{ n }}{% if n %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}", "3210"),
        ("{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a is defined }}", "3False"),
        ("{% filter upper | replace('A', 'b') %}a{{ 'c' }}{% endfilter %}", "bC"),
        ("{% raw %}{{ x }}{% endraw %}{% generation %}a{% endgeneration %}", "{{ x }}a"),
        ("{% for i in [1, 1, 2] %}{{ loop.changed(i) }}{{ loop.cycle('x', 'y') }}{% endfor %}", "TruexFalseyTruex"),
        ("a\n  {% if true %}\n  b\n  {% endif %}\nc\n", "a\n  b\nc"),
        ("a {%- if true -%} b {%- endif -%} c  {#- d -#}  e", "abce"),
        ("  {{ 1 }}\n  {% set x = 1 %}\n{# c #}\n x", "  1\n x"),
        ("{%+ if true %} a {%+ endif %}\nb", " a b"),
        ("{{ '%}' }}{{ {'a': {'b': 1}} }}", "%}{'a': {'b': 1}}"),
    ] {
        assert_eq!(plain(source).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn errors_have_a_line_and_pythons_message() {
    for (source, expected) in [
        ("a\n{% if %}", "line 2: the end of the tag where an expression is expected"),
        (
            "{% if x %}",
            "line 1: the end of the template where `{% elif %}` or `{% else %}` or `{% endif %}` is expected",
        ),
        ("\n{{ 1 +* 2 }}", "line 2: `*` where an expression is expected"),
        ("{{ a } }}", "line 1: `}` closes nothing"),
        ("{{ 'a }}", "line 1: a string is not closed"),
        ("a\n\n{{ x.y }}", "line 3: 'x' is undefined"),
        ("{{ {}.x.y }}", "line 1: 'dict object' has no attribute 'x'"),
        ("{{ 'a' + {} }}", "line 1: can only concatenate str (not \"dict\") to str"),
        (
            "{% set x = [] %}\n{% set _ = x.append(1) %}",
            "line 2: access to attribute 'append' of 'list' object is unsafe",
        ),
        ("{{ raise_exception('no') }}", "line 1: no"),
        ("{{ 1 | nothing }}", "line 1: No filter named 'nothing'."),
        ("{{ nobody() }}", "line 1: 'nobody' is undefined"),
        ("{% trans %}", "line 1: unknown tag `trans`"),
        ("{% include 'https://example.org/x' %}", "line 1: `include` would read another template"),
        ("{% import '/etc/passwd' as x %}", "line 1: `import` would read another template"),
    ] {
        let error = plain(source).unwrap_err();
        assert!(error.starts_with(expected), "{source}: {error}");
    }
}

/// The error used to point at the space before the expression.
#[test]
fn expressions_with_more_than_100_levels_or_operators_are_refused() {
    for (expression, expected) in [
        ("(".repeat(10_000) + "1" + &")".repeat(10_000), "more than 100 levels within each other"),
        ("[".repeat(10_000) + &"]".repeat(10_000), "more than 100 levels within each other"),
        ("1 + ".repeat(10_000) + "1", "more than 100 operators in a row"),
        ("a.".repeat(10_000) + "a", "more than 100 operators in a row"),
    ] {
        let error = plain(&format!("  {{{{   {expression} }}}}")).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

/// Given text stays given wherever a template puts it, and no other text becomes given.
#[test]
fn each_byte_keeps_its_origin() {
    let own = |source: &str| {
        let text = rendered(source, &[("u", "<|end|>"), ("v", "a</t>b"), ("w", "|end|>")]).unwrap();
        let given: String = text.runs().filter(|(_, given)| *given).map(|(range, _)| &text.as_str()[range]).collect();
        let own: String = text.runs().filter(|(_, given)| !*given).map(|(range, _)| &text.as_str()[range]).collect();
        (own, given)
    };
    for (source, template, given) in [
        ("<{{ u }}>", "<>", "<|end|>"),
        ("{{ u[::-1][::-1] }}{{ u[1:] }}{{ '<' + u[1:] }}", "<", "<|end|>|end|>|end|>"),
        ("{{ u.upper().lower() | trim }}{{ u | list | join }}", "", "<|end|><|end|>"),
        ("{{ v.split('</t>') | join('</t>') }}", "</t>", "ab"),
        ("{{ v.split('<')[1] }}{{ '<' ~ w }}", "<", "/t>b|end|>"),
        ("{{ v.replace('a', '<|x|>') }}{{ u.replace('|', '') }}", "<|x|>", "</t>b<end>"),
        ("{{ '%s%s' % (u, '<') }}{{ '{}'.format(u) }}", "<", "<|end|><|end|>"),
        ("{{ [u] }}{{ {u: u} | tojson }}", "['']{\"\": \"\"}", "<|end|><|end|><|end|>"),
        ("{{ '%c' % 60 }}{{ '{:c}'.format(60) }}{{ '{:<<3}'.format(1) }}", "1", "<<<<"),
        (
            "{% filter indent(1, true) %}{{ u }}{% endfilter %}{{ u | e | replace('&lt;', '<') }}",
            " <",
            "<|end|>|end|&gt;",
        ),
        (
            "{% macro m(x) %}<{{ x }}{% endmacro %}{{ m(u[1:]) }}{% for c in u %}{{ c }}{% endfor %}",
            "<",
            "|end|><|end|>",
        ),
        (
            "{% macro m() %}{{ kwargs }}{% endmacro %}{{ m(**{u: 1}) }}{{ dict(**{u: 1}) }}{{ namespace(**{u: 1}) }}",
            "{'': 1}{'': 1}<Namespace {'': 1}>",
            "<|end|><|end|><|end|>",
        ),
        ("{{ u | urlencode }}{{ u | title }}{{ u.center(9, '<') }}", "<<", "%3C%7Cend%7C%3E<|end|><|end|>"),
        (
            "{{ u == '<|end|>' and '<|end|>' in [u] and {'<|end|>': 1}[u] and u.startswith('<|') and 'end' in u }}",
            "True",
            "",
        ),
    ] {
        assert_eq!(own(source), (template.to_owned(), given.to_owned()), "{source}");
    }
}

/// Each of these took a page's stack, gigabytes, or minutes.
#[test]
fn a_template_takes_no_more_than_its_budget() {
    let grow = |inner: &str, then: &str| {
        format!(
            "{{% set ns = namespace(x='a') %}}{{% for i in range(60) %}}{{% set ns.x = {inner} %}}{{% endfor %}}{then}"
        )
    };
    let often = |what: &str| {
        format!(
            "{{% set big = 'a' * 100000 %}}{{% set list = range(9000) | list %}}{{% for i in range(99999) %}}{what}{{% endfor %}}"
        )
    };
    let sources = [
        "{% for a in range(99999) %}{% for b in range(99999) %}{{ b }}{% endfor %}{% endfor %}".to_owned(),
        grow("ns.x + ns.x", ""),
        grow("[ns.x, ns.x]", "{{ ns.x }}"),
        grow("[ns.x, ns.x]", "{{ ns.x | tojson(indent=16) }}"),
        grow("[ns.x, ns.x]", "{{ ns.x == ns.x ~ '' or [ns.x] == [ns.x] }}"),
        often("{% for c in big %}{% break %}{% endfor %}"),
        often("{% set x = list.count(-1) %}"),
        often("{% set x = big.find('b') %}{% set x = 'b' in big %}"),
        often("{% set x = big.strip(big) %}"),
        often("{% set x = big | title | wordwrap(1) %}"),
        often("{% set x = list | sort %}"),
        often("{% set x = big == big %}{% set x = {big: 1}[big] %}"),
        "{{ ('a' * 10000).replace('a', 'b' * 10000) }}".to_owned(),
        "{{ ('a' * 10000).join(('b' * 10000) | list) }}".to_owned(),
        "{{ '{:99999999}'.format(1) }}".to_owned(),
        "{{ '1'.zfill(99999999) }}{{ '%99999999d' % 1 }}".to_owned(),
        "{{ range(99999) | batch(9999999999, 'x') | list }}".to_owned(),
        "{{ 'x' * 99999999999 }}".to_owned(),
    ];
    for source in &sources {
        let error = within(source, 500_000).unwrap_err();
        assert!(error.contains("too many steps"), "{error}: {source}");
    }
}

/// `count('')` finds a match at each character. They used to cost no more than reading the text.
#[test]
fn each_match_costs_a_step() {
    for source in ["{{ ('a' * 100000).count('') }}", "{{ ('a' * 100000).replace('a', '') }}"] {
        assert!(within(source, 60_000).unwrap_err().contains("too many steps"), "{source}");
        within(source, 300_000).unwrap();
    }
}

/// Thousands of names in one scope, namespace or call took minutes, since a look-up cost nothing.
#[test]
fn looking_up_a_name_among_thousands_costs_steps() {
    let many = |what: &str| -> String { (0..2000).map(|i| what.replace("NAME", &format!("name{i}"))).collect() };
    for source in [
        many("{% set NAME = 1 %}"),
        format!("{{% set ns = namespace() %}}{}", many("{% set ns.NAME = 1 %}")),
        format!("{{% macro f({}x=1) %}}{{% endmacro %}}{{{{ f({}x=2) }}}}", many("NAME=1,"), many("NAME=2,")),
    ] {
        let error = within(&source, 100_000).unwrap_err();
        assert!(error.contains("too many steps"), "{error}");
    }
}

#[test]
fn a_template_cannot_overflow_the_stack() {
    let nested = |open: &str, close: &str| open.repeat(5000) + &close.repeat(5000);
    let sources = [
        "{{ ".to_owned() + &nested("(", ")") + " }}",
        "{{ ".to_owned() + &nested("[", "]") + " }}",
        "{{ ".to_owned() + &nested("{1:", "}") + " }}",
        "{{ ".to_owned() + &"not ".repeat(5000) + "1 }}",
        "{{ ".to_owned() + &"-".repeat(5000) + "1 }}",
        "{{ 1".to_owned() + &" if 1 else 1".repeat(5000) + " }}",
        "{{ a".to_owned() + &"[a".repeat(5000) + &"]".repeat(5000) + " }}",
        "{{ 1".to_owned() + &" | abs".repeat(5000) + " }}",
        nested("{% if 1 %}", "{% endif %}"),
        nested("{% for x in [1] %}", "{% endfor %}"),
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}".to_owned(),
        "{% macro f() %}{% call f() %}{{ caller() }}{% endcall %}{% endmacro %}{{ f() }}".to_owned(),
        "{% macro f(x) %}{{ [[[[f(x)]]]] }}{% endmacro %}{{ f() }}".to_owned(),
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}".to_owned(),
        "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}".to_owned(),
        "{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns | tojson }}".to_owned(),
        "{% set ns = namespace(x=[]) %}{% for i in range(900) %}{% set ns.x = [ns.x] %}{% endfor %}".to_owned(),
    ];
    // deep, but within the limits
    let fits = [
        "{{ ".to_owned() + &"(".repeat(90) + "1" + &")".repeat(90) + " }}",
        "{% if 1 %}".repeat(90) + "1" + &"{% endif %}".repeat(90),
        "{{ 0".to_owned() + &" + 1".repeat(99) + " }}",
        "{% macro f(n) %}{% if n %}{% for x in [1] %}{{ f(n - 1) }}{% endfor %}{% endif %}{% endmacro %}{{ f(40) }}"
            .to_owned(),
        "{% if 0 %}".to_owned() + &"{% elif 0 %}".repeat(5000) + "{% endif %}",
        format!("{{{{ {}{} }}}}", "[".repeat(60), "]".repeat(60)),
    ];
    // A page's worker has 1 MiB. An unoptimised build takes several times as much stack as the
    // optimised one.
    let stack = if cfg!(debug_assertions) { 4 << 20 } else { 1 << 20 };
    let work = || {
        for source in &sources {
            assert!(plain(source).is_err(), "{source:.40}");
        }
        for source in &fits {
            assert!(plain(source).is_ok(), "{source:.40}: {:?}", plain(source));
        }
    };
    std::thread::scope(|scope| {
        std::thread::Builder::new().stack_size(stack).spawn_scoped(scope, work).unwrap();
    });
}

/// Operations on texts: `x` is the last result, `u` and `v` are given.
const OPERATIONS: [&str; 30] = [
    "x ~ u",
    "v + x",
    "x[1:]",
    "x[:-1]",
    "x[::-1]",
    "x[::2]",
    "x.upper()",
    "x.lower()",
    "x | title",
    "x | capitalize",
    "x.strip('ab')",
    "x.split(v) | join('-')",
    "x.split('b')[-1]",
    "x.rsplit('a', 1) | join(u)",
    "x.partition('b') | last",
    "x | list | reverse | join",
    "x | list | sort | join",
    "x | list | map('upper') | join('.')",
    "x.replace('a', u)",
    "x.replace(v, 'b')",
    "'%s-%5s' % (x, v)",
    "'{}{:>4}'.format(x, u)",
    "x | indent(1, true)",
    "x.center(9, '*')",
    "[x, {u: v}] | tojson",
    "[x, (u,)] | string",
    "{x: u}.items() | first | first",
    "x * 2",
    "x if u in x else x ~ 'b'",
    "x.removeprefix(v).splitlines() | join('a')",
];

proptest! {
    /// The given letters are Greek, the template's are not: after any operations, each letter of
    /// the result has its origin, and the text is the same as with nothing given.
    #[test]
    fn operations_keep_the_origin_of_every_letter(
        steps in prop::collection::vec(prop::sample::select(&OPERATIONS[..]), 1..6),
        u in "[αβ]{0,4}",
        v in "[αβ]{1,2}",
    ) {
        let steps: String = steps.iter().map(|step| format!("{{% set x = {step} %}}")).collect();
        let source = format!("{{% set x = 'ab' ~ u ~ 'b' %}}{steps}{{{{ x }}}}");
        let text = rendered(&source, &[("u", &u), ("v", &v)]);
        let own = format!("{{% set u = '{u}' %}}{{% set v = '{v}' %}}{source}");
        prop_assert_eq!(text.as_ref().map(|text| text.as_str().to_owned()).map_err(Clone::clone), plain(&own));
        if let Ok(text) = text {
            for (c, given) in text.chars().filter(|(c, _)| c.is_alphabetic()) {
                prop_assert_eq!(given, !c.is_ascii(), "{:?} of {:?} by {}", c, text, source);
            }
        }
    }
}
