"""What has been tried on expressions: ways out of jinja2's sandbox, and out of its limits.

Collected from its advisories (CVE-2016-10745, CVE-2019-10906, CVE-2024-56201, CVE-2024-56326, CVE-2025-27516) and from
what is written about template injection.
"""

from dataclasses import dataclass
from typing import Any

from service.engine.expressions import ROOTS


@dataclass(frozen=True, slots=True)
class Attempt:
    """What it got is the error's detail where it is refused, else a value. The document shows one of each group."""

    group: str
    text: str
    got: Any
    refused: bool = True


def _gives(group: str, text: str, got: Any) -> Attempt:
    return Attempt(group, text, got, refused=False)


def _no_name(group: str, text: str, name: str) -> Attempt:
    return Attempt(group, text, f"There is no name {name!r}; there are {', '.join(sorted(ROOTS))}")


def _no_function(group: str, text: str, name: str) -> Attempt:
    return Attempt(group, text, f"There is no function {name!r}; there are coalesce, items_of, merge, range")


SCOPE: dict[str, Any] = {
    "input": {"a": "x", "__class__": "only a key", "run": "items_of", "format": "{0.__class__}"},
    "items": [],
    "trigger": {"functions": {"upper": 1}},
    "functions": {"items_of": lambda wanted: [{"from": wanted}]},
}
ATTEMPTS: list[Attempt] = [
    Attempt(
        "attributes of Python",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "Only functions can be called; there are no methods",
    ),
    Attempt("attributes of Python", "{{ [].__class__ }}", "'__class__' may not begin with _"),
    Attempt("attributes of Python", "{{ ''['__class__'] }}", "A text has no '__class__'"),
    Attempt("attributes of Python", "{{ 1['__class__'] }}", "A number has no '__class__'"),
    Attempt("attributes of Python", "{{ []['__class__']['__base__'] }}", "A list has no '__class__'"),
    Attempt("attributes of Python", "{{ {}['__class__'] }}", "There is no '__class__'"),
    Attempt("attributes of Python", "{{ now['__class__'] }}", "None has no '__class__'"),
    Attempt("attributes of Python", "{{ input.__class__ }}", "'__class__' may not begin with _"),
    _gives("attributes of Python", "{{ input['__class__'] }}", "only a key"),
    Attempt("attributes of Python", "{{ ''['\\x5f\\x5fclass\\x5f\\x5f'] }}", "A text has no '__class__'"),
    Attempt("attributes of Python", "{{ ''['__cla' ~ 'ss__'] }}", "A text has no '__class__'"),
    Attempt("attributes of Python", "{{ ''['__ssalc__'[::-1]] }}", "A text has no '__class__'"),
    Attempt("attributes of Python", "{{ ''[['__cla', 'ss__'] | join] }}", "A text has no '__class__'"),
    Attempt("attributes of Python", "{{ ''.ˍˍclassˍˍ }}", "A text has no 'ˍˍclassˍˍ'"),
    Attempt("attributes of Python", "{{ ''.__ｃlass__ }}", "'__ｃlass__' may not begin with _"),
    Attempt("attributes of Python", "{{ ''.mro }}", "A text has no 'mro'"),
    Attempt("attributes of Python", "{{ range.__globals__ }}", "'__globals__' may not begin with _"),
    _no_name("attributes of Python", "{{ range['__globals__'] }}", "range"),
    Attempt("attributes of Python", "{{ items_of.__closure__ }}", "'__closure__' may not begin with _"),
    Attempt("attributes of Python", "{{ (1 if false).__class__ }}", "'__class__' may not begin with _"),
    Attempt(
        "attributes of Python", "{{ (input.zzz)._undefined_obj }}", "'_undefined_obj' may not begin with _"
    ),
    Attempt(
        "attributes of Python",
        "{{ input.zzz._fail_with_undefined_error }}",
        "'_fail_with_undefined_error' may not begin with _",
    ),
    Attempt(
        "attributes of Python",
        "{{ input.zzz['__init__']['__globals__'] }}",
        "There is no 'zzz'; there are 'a', '__class__', 'run', 'format'",
    ),
    Attempt("attributes of Python", "{{ loop.gi_frame.f_globals }}", "None has no 'gi_frame'"),
    Attempt(
        "attributes of Python",
        "{{ input.items.gi_frame }}",
        "There is no 'items'; there are 'a', '__class__', 'run', 'format'",
    ),
    Attempt("attributes of Python", "{{ none.__init__ }}", "'__init__' may not begin with _"),
    Attempt("attributes of Python", "{{ [].append }}", "A list has no 'append'"),
    Attempt("attributes of Python", "{{ input.a.format }}", "A text has no 'format'"),
    Attempt("filters and tests of jinja2", "{{ '' | attr('__class__') }}", "There is no filter 'attr'"),
    Attempt(
        "filters and tests of jinja2",
        "{{ [''] | map(attribute='__class__') | list }}",
        "There is no filter 'list'; is 'last' meant?",
    ),
    Attempt(
        "filters and tests of jinja2",
        "{{ [''] | map('attr', '__class__') }}",
        "There is no filter 'map'; is 'max' meant?",
    ),
    Attempt(
        "filters and tests of jinja2",
        "{{ [''] | selectattr('__class__') }}",
        "There is no filter 'selectattr'",
    ),
    Attempt(
        "filters and tests of jinja2", "{{ [''] | groupby('__class__') }}", "There is no filter 'groupby'"
    ),
    _gives("filters and tests of jinja2", "{{ [''] | pluck('__class__') }}", [None]),
    _gives("filters and tests of jinja2", "{{ [''] | sort('__class__') }}", [""]),
    Attempt(
        "filters and tests of jinja2",
        "{{ '%s' | format(1) }}",
        "There is no filter 'format'; is 'float' meant?",
    ),
    Attempt("filters and tests of jinja2", "{{ {'a': 1} | xmlattr }}", "There is no filter 'xmlattr'"),
    Attempt(
        "filters and tests of jinja2", "{{ 1 | tojson }}", "There is no filter 'tojson'; is 'json' meant?"
    ),
    Attempt(
        "filters and tests of jinja2", "{{ 1 | pprint }}", "There is no filter 'pprint'; is 'int' meant?"
    ),
    Attempt("filters and tests of jinja2", "{{ 'a' | safe }}", "There is no filter 'safe'"),
    Attempt(
        "filters and tests of jinja2",
        "{{ input | dictsort }}",
        "There is no filter 'dictsort'; is 'sort' meant?",
    ),
    Attempt(
        "filters and tests of jinja2",
        "{{ 'a' | concat of the operator ~ }}",
        "An expression is empty, is not closed, or ends too early",
    ),
    Attempt(
        "filters and tests of jinja2",
        "{{ 'a' | upper(context=1) }}",
        "'upper': got an unexpected keyword argument 'context'",
    ),
    Attempt("filters and tests of jinja2", "{{ 'a' | upper(*input) }}", "Arguments are written one by one"),
    Attempt("filters and tests of jinja2", "{{ 'a' | upper(**input) }}", "Arguments are written one by one"),
    Attempt(
        "filters and tests of jinja2",
        "{{ 'a' | upper(_Entry__x=1) }}",
        "'upper': got an unexpected keyword argument '_Entry__x'",
    ),
    Attempt(
        "filters and tests of jinja2",
        "{{ 'a' is eq('a') }}",
        "There is no test 'eq'; there are defined, empty, list, none, number, object, string",
    ),
    Attempt(
        "filters and tests of jinja2",
        "{{ 1 is callable }}",
        "There is no test 'callable'; there are defined, empty, list, none, number, object, string",
    ),
    Attempt(
        "filters and tests of jinja2",
        "{{ 'upper' is filter }}",
        "There is no test 'filter'; there are defined, empty, list, none, number, object, string",
    ),
    Attempt(
        "names of jinja2, Flask and Python",
        "{{ lipsum.__globals__['os'].popen('id').read() }}",
        "Only functions can be called; there are no methods",
    ),
    Attempt(
        "names of jinja2, Flask and Python",
        "{{ cycler.__init__.__globals__ }}",
        "'__globals__' may not begin with _",
    ),
    Attempt("names of jinja2, Flask and Python", "{{ joiner.__init__ }}", "'__init__' may not begin with _"),
    _no_function("names of jinja2, Flask and Python", "{{ namespace(a=1) }}", "namespace"),
    _no_function("names of jinja2, Flask and Python", "{{ dict(a=1) }}", "dict"),
    Attempt(
        "names of jinja2, Flask and Python",
        "{{ self.__init__.__globals__ }}",
        "'__globals__' may not begin with _",
    ),
    Attempt(
        "names of jinja2, Flask and Python",
        "{{ self._TemplateReference__context }}",
        "'_TemplateReference__context' may not begin with _",
    ),
    Attempt(
        "names of jinja2, Flask and Python",
        "{{ config.items() }}",
        "Only functions can be called; there are no methods",
    ),
    Attempt(
        "names of jinja2, Flask and Python",
        "{{ request.application.__globals__ }}",
        "'__globals__' may not begin with _",
    ),
    Attempt(
        "names of jinja2, Flask and Python", "{{ url_for.__globals__ }}", "'__globals__' may not begin with _"
    ),
    _no_name("names of jinja2, Flask and Python", "{{ get_flashed_messages }}", "get_flashed_messages"),
    _no_name("names of jinja2, Flask and Python", "{{ g.pop }}", "g"),
    _no_name("names of jinja2, Flask and Python", "{{ session }}", "session"),
    _no_name("names of jinja2, Flask and Python", "{{ _context }}", "_context"),
    _no_name("names of jinja2, Flask and Python", "{{ context.eval_ctx }}", "context"),
    _no_name("names of jinja2, Flask and Python", "{{ environment }}", "environment"),
    _no_function("names of jinja2, Flask and Python", "{{ caller() }}", "caller"),
    _no_name("names of jinja2, Flask and Python", "{{ varargs }}", "varargs"),
    _no_name("names of jinja2, Flask and Python", "{{ kwargs }}", "kwargs"),
    _no_function("names of jinja2, Flask and Python", "{{ super() }}", "super"),
    _no_name("names of jinja2, Flask and Python", "{{ debug }}", "debug"),
    _no_name("names of jinja2, Flask and Python", "{{ functions }}", "functions"),
    _no_name("names of jinja2, Flask and Python", "{{ result }}", "result"),
    Attempt(
        "names of jinja2, Flask and Python",
        "{{ l_0_input }}",
        "There is no name 'l_0_input'; is 'input' meant?",
    ),
    _no_name("names of jinja2, Flask and Python", "{{ t_1 }}", "t_1"),
    _no_name("names of jinja2, Flask and Python", "{{ undefined }}", "undefined"),
    _no_function("names of jinja2, Flask and Python", "{{ open('/etc/passwd') }}", "open"),
    _no_function("names of jinja2, Flask and Python", "{{ __import__('os') }}", "__import__"),
    _no_name("names of jinja2, Flask and Python", "{{ __builtins__ }}", "__builtins__"),
    _no_function("names of jinja2, Flask and Python", "{{ eval('1') }}", "eval"),
    _no_function("names of jinja2, Flask and Python", "{{ exec('1') }}", "exec"),
    _no_function("names of jinja2, Flask and Python", "{{ getattr('', 'x') }}", "getattr"),
    Attempt(
        "calls, formats and code",
        "{{ ''.join(['a']) }}",
        "Only functions can be called; there are no methods",
    ),
    Attempt(
        "calls, formats and code",
        "{{ '{0.__class__}'.format('') }}",
        "Only functions can be called; there are no methods",
    ),
    Attempt(
        "calls, formats and code",
        "{{ '{a.__class__}'.format_map(input) }}",
        "Only functions can be called; there are no methods",
    ),
    Attempt(
        "calls, formats and code",
        "{{ input.format.format(input) }}",
        "Only functions can be called; there are no methods",
    ),
    Attempt(
        "calls, formats and code",
        "{{ input.run('a') }}",
        "Only functions can be called; there are no methods",
    ),
    Attempt(
        "calls, formats and code",
        "{{ input['run']('a') }}",
        "Only functions can be called; there are no methods",
    ),
    Attempt("calls, formats and code", "{{ 'a'() }}", "Only functions can be called; there are no methods"),
    _gives("calls, formats and code", "{{ (range)(2) }}", [0, 1]),
    Attempt(
        "calls, formats and code", "{{ range(1)() }}", "Only functions can be called; there are no methods"
    ),
    _no_name("calls, formats and code", "{{ range }}", "range"),
    Attempt(
        "calls, formats and code", "{{ [range][0](1) }}", "Only functions can be called; there are no methods"
    ),
    _no_function("calls, formats and code", "{{ input(1) }}", "input"),
    Attempt(
        "calls, formats and code",
        "{{ nodes.get('a') }}",
        "Only functions can be called; there are no methods",
    ),
    Attempt(
        "calls, formats and code",
        "{{ range.__call__(1) }}",
        "Only functions can be called; there are no methods",
    ),
    Attempt(
        "calls, formats and code",
        "{{ input.update({'a': 1}) }}",
        "Only functions can be called; there are no methods",
    ),
    Attempt(
        "calls, formats and code",
        "{{ items.append(1) }}",
        "Only functions can be called; there are no methods",
    ),
    _no_name("calls, formats and code", "{{ coalesce(range) }}", "range"),
    Attempt(
        "calls, formats and code", "{{ '%(a)s' % input }}", "A text % an object has no meaning; ~ joins texts"
    ),
    Attempt("calls, formats and code", "{{ '%s' % '' }}", "A text % a text has no meaning; ~ joins texts"),
    Attempt(
        "calls, formats and code",
        "{{ lambda: 1 }}",
        "An expression is empty, is not closed, or ends too early",
    ),
    Attempt("calls, formats and code", "{{ [x for x in input] }}", "Expected token ',', got 'for'"),
    Attempt(
        "calls, formats and code",
        "{{ f'{input}' }}",
        "An expression is empty, is not closed, or ends too early",
    ),
    Attempt("calls, formats and code", "{{ `id` }}", "Unexpected char '`' at 3"),
    _gives(
        "statements and delimiters", "{% for x in input %}{% endfor %}", "{% for x in input %}{% endfor %}"
    ),
    _gives("statements and delimiters", "{% set a = 1 %}{{ 1 }}", "{% set a = 1 %}1"),
    _no_name("statements and delimiters", "{% import 'os' as os %}{{ os }}", "os"),
    _gives("statements and delimiters", "{% include '/etc/passwd' %}{{ 1 }}", "{% include '/etc/passwd' %}1"),
    _no_function("statements and delimiters", "{% macro m() %}{% endmacro %}{{ m() }}", "m"),
    _gives("statements and delimiters", "{% raw %}{{ input.a }}{% endraw %}", "{% raw %}x{% endraw %}"),
    Attempt(
        "statements and delimiters",
        "{% block a %}{{ self.a() }}{% endblock %}",
        "Only functions can be called; there are no methods",
    ),
    _gives("statements and delimiters", "{% do 1 %}{{ 1 }}", "{% do 1 %}1"),
    _gives("statements and delimiters", "{% debug %}{{ 1 }}", "{% debug %}1"),
    _gives("statements and delimiters", "{# {{ input.a }} #}", "{# x #}"),
    Attempt(
        "statements and delimiters",
        "\ue000\ue001{% set a = 1 %}\ue000\ue001{{ 1 }}",
        "It has characters in it that mean nothing anywhere: U+E000 U+E001",
    ),
    Attempt(
        "statements and delimiters",
        "\ue000\ue001{% raw %}\ue000\ue001{{ 1 }}",
        "It has characters in it that mean nothing anywhere: U+E000 U+E001",
    ),
    Attempt(
        "statements and delimiters",
        "\ue000\ue001{# {{ 1 }} #}\ue000\ue001",
        "It has characters in it that mean nothing anywhere: U+E000 U+E001",
    ),
    Attempt("statements and delimiters", "{{ 1 %}", "Unexpected '}'"),
    Attempt(
        "statements and delimiters", "{{ 1; 2 }}", "An expression is empty, is not closed, or ends too early"
    ),
    Attempt(
        "statements and delimiters", "{{ a = 1 }}", "An expression is empty, is not closed, or ends too early"
    ),
    Attempt("statements and delimiters", "{{ (a := 1) }}", "Expected token ')', got ':'"),
    Attempt("statements and delimiters", "{{ 1 # }}", "Unexpected char '#' at 5"),
    _gives("statements and delimiters", "{{ 1 }}\n# for x in input", "1\n# for x in input"),
    Attempt("statements and delimiters", "{{ input.a\x00 }}", "Unexpected char '\\x00' at 10"),
    _gives("statements and delimiters", "{{ '\x00' | length }}", 1),
    _gives("statements and delimiters", "{{ input.a | upper }}{{ '{{ input.a }}' }}", "X{{ input.a }}"),
    _gives("statements and delimiters", "{{ 'a\\N{LEFT CURLY BRACKET}{b}' }}", "a{{b}"),
    Attempt("names written otherwise", "{{ ｉnput.a }}", "There is no name 'ｉnput'; is 'input' meant?"),
    Attempt(
        "names written otherwise",
        "{{ input.ａ }}",
        "There is no 'ａ'; there are 'a', '__class__', 'run', 'format'",
    ),
    Attempt(
        "names written otherwise", "{{ input | ｕpper }}", "There is no filter 'ｕpper'; is 'upper' meant?"
    ),
    Attempt("names written otherwise", "{{ nodes['a'].b }}", "None has no 'a'"),
    Attempt("names written otherwise", "{{ input['a']['upper'] }}", "A text has no 'upper'"),
    Attempt(
        "names written otherwise",
        "{{ input[input] }}",
        'An object has no {"a":"x","__class__":"only a key","run":"items_of","format":…',
    ),
    Attempt("names written otherwise", "{{ input[none] }}", "An object has no none"),
    Attempt("names written otherwise", "{{ input[['a']] }}", 'An object has no ["a"]'),
    Attempt(
        "names written otherwise",
        "{{ trigger.functions.upper('a') }}",
        "Only functions can be called; there are no methods",
    ),
    Attempt("names written otherwise", "{{ execution.__dict__ }}", "'__dict__' may not begin with _"),
    Attempt("names written otherwise", "{{ True.real }}", "A boolean has no 'real'"),
    Attempt("names written otherwise", "{{ 1.real }}", "A number has no 'real'"),
    Attempt("names written otherwise", "{{ (1).real }}", "A number has no 'real'"),
    Attempt("names written otherwise", "{{ 1 .__class__ }}", "'__class__' may not begin with _"),
    _no_name("names written otherwise", "{{ true and range }}", "range"),
    Attempt("names written otherwise", "{{ not input.__class__ }}", "'__class__' may not begin with _"),
    Attempt("bombs", "{{ 'a' * 1000000000 }}", "A value would be larger than 1,048,576 bytes"),
    Attempt("bombs", "{{ [0] * 1000000000 }}", "A list * a number has no meaning; ~ joins texts"),
    Attempt("bombs", "{{ 9 ** 9 ** 9 }}", "Pow has no meaning here"),
    Attempt("bombs", "{{ 2 ** 100000 }}", "Pow has no meaning here"),
    Attempt("bombs", "{{ 1e999 }}", "A number is too large"),
    Attempt("bombs", "{{ 9223372036854775807 * 9223372036854775807 }}", "A number is too large"),
    Attempt("bombs", "{{ range(99999999) }}", "A range has 1,000 numbers at most"),
    Attempt("bombs", "{{ 'aa' | replace('', 'a' * 100000) }}", "Nothing cannot be replaced"),
    Attempt("bombs", "{{ '%999999999d' % 1 }}", "A text % a number has no meaning; ~ joins texts"),
    Attempt("bombs", "{{ '{:>999999999}'.format(1) }}", "Only functions can be called; there are no methods"),
    _gives("bombs", "{{ 1 | format_number(999999999) | length }}", 17),
    _gives("bombs", "{{ '2026-03-01' | format_date('%999999999Y') }}", ""),
    Attempt("bombs", "{{ 'a' | center(999999999) }}", "There is no filter 'center'; is 'entries' meant?"),
    Attempt("bombs", "{{ 'a' | indent(999999999) }}", "There is no filter 'indent'; is 'int' meant?"),
    _gives("bombs", "{{ 1 | round(999999999) }}", 1),
    Attempt("bombs", "{{ ('[' * 90000) | parse_json }}", "The value is nested too deeply"),
]
