"""Small templates that probe one rule of jinja2 each; cases() yields (template, variables)."""

VARIABLES = {
    "x": 5, "y": -3, "f": 2.5, "s": "Hello, Wörld", "e": "", "u": "日本語 ß ǆ ﬁ İ", "n": None, "t": True,
    "l": [3, 1, 2], "w": ["b", "A", "c"], "d": {"b": 1, "a": "z", "C": None},
    "users": [{"name": "Eve", "age": 30, "tags": ["x"]}, {"name": "adam", "age": 25, "tags": []},
              {"name": "Bob", "age": 30}],
    "nested": {"a": {"b": [1, {"c": "deep"}]}}, "m": "line one\nline two\n\nline four", "q": "it's \"q\"\\\n\x7f\u00a0\u200b",
    "items": {"items": 1, "keys": 2},
}

EXPRESSIONS = r"""
x + y
x - f
x * 2
x / 2
6 / 3
x // 2
y // 2
-7 // 2
-7 % 3
7 % -3
7.5 % 2
-7.5 // 2
7.5 // -2
2 ** 10
2 ** -1
2 ** 0.5
2.0 ** 3
-2 ** 2
1 / 0
1 // 0
1 % 0
1.0 / 0
x + s
s + x
s ~ x ~ f ~ n ~ t ~ l
"a" "b" 'c'
"a" * 3
3 * "a"
[1] * 2
[1] + [2, 3]
(1, 2) + (3,)
[1] + (2,)
n + 1
t + t
true + 1
1e3
1_000
0x1F
0b101
0o17
1.5e-7
1e16
1e15
123456789012345678
0.1 + 0.2
1e22
100.0
-0.0
1.0e-5
0.0001
x.foo
x.foo.bar
d.b
d['a']
d.missing
d.missing.more
d['missing']
d[x]
d.items()
d.keys()
d.values()
d | list
items['items']
d.get('b')
d.get('zz')
d.get('zz', 'dflt')
d.get()
d.update({'q': 1})
d.pop('b')
l.append(4)
l.append is defined
d.update is defined
l[0]
l[-1]
l[10]
l[-10]
l[1:]
l[:-1]
l[::-1]
l[::2]
l[5:1]
l[-2:]
l[0:100]
l[::0]
l['a']
l[none]
l[1.5]
l[true]
s[0]
s[-1]
s[1:4]
s[::-1]
s[::2]
s[100]
u[0]
u[1:3]
u[::-1]
u | length
s | length
(1,2,3)[1:]
range(5)
range(5)[1:3]
range(2, 8, 3) | list
range(5, 0, -2) | list
range(0)
range(3)[1]
range(1000000)
range()
range(1, 2, 0)
range('a')
not x
not e
x and y
e or s
n or 'fallback'
x and e
x > 3 and y < 0
1 < 2 < 3
1 < 3 < 2
1 == 1.0
true == 1
'1' == 1
[1, 2] == [1, 2]
(1, 2) == [1, 2]
{'a': 1} == {'a': 1.0}
none == none
missing == also_missing
missing == none
'a' < 'b'
'a' < 1
none < 1
[1, 2] < [1, 3]
[1, 'a'] < [1, 2]
'a' in 'abc'
'' in 'abc'
1 in [1, 2]
1.0 in [1, 2]
'a' in d
1 in 'abc'
'a' not in l
x in missing
1 in 5
'a' in none
'b' in {'b': 1}.keys()
(1,) in [(1,)]
x if t else y
x if e else y
x if e
'[' ~ (x if e) ~ ']'
x if e else y if e else 'z'
missing
missing.foo
missing['foo']
missing + 1
missing ~ 'x'
missing()
missing | length
missing | list
missing | default('d')
missing | default
missing.a | default('d')
n | default('d')
n | default('d', true)
e | default('d', boolean=true)
e | d('x', true)
s | upper
s | lower
s | title
s | capitalize
u | upper
u | lower
u | title
u | capitalize
'ΑΣ ΑΣΑ' | lower
'ﬃ straße' | upper
'hELLO wORLD-foo (bar) [baz] <q> {z' | title
'  pad \n' | trim
'xxpadxx' | trim('x')
'\u00a0 pad\u3000' | trim
s | replace('l', 'L')
s | replace('l', 'L', 1)
s | replace('', '-')
s | replace('o', x)
x | replace(5, 6)
s | reverse
l | reverse | list
l | first
l | last
[] | first
[] | last
'' | first
'ab' | last
d | first
d | last
l | sort
l | sort(reverse=true)
w | sort
w | sort(case_sensitive=true)
w | sort(true)
users | sort(attribute='age') | map(attribute='name') | join(',')
users | sort(attribute='age,name') | map(attribute='name') | join(',')
users | sort(attribute='age', reverse=true) | map(attribute='name') | join(',')
users | map(attribute='name') | list
users | map(attribute='tags.0', default='none') | list
users | map(attribute='tags') | list
users | map('length') | list
users | map(attribute='zip') | list
w | map('upper') | join('-')
w | map('replace', 'b', 'B') | list
w | map('nofilter') | list
w | map() | list
l | map('string') | list
users | selectattr('age', 'equalto', 30) | map(attribute='name') | list
users | selectattr('age', '==', 30) | list | length
users | selectattr('tags') | list | length
users | selectattr('tags', 'defined') | list | length
users | rejectattr('age', 'gt', 26) | map(attribute='name') | list
users | rejectattr('tags') | map(attribute='name') | list
users | selectattr('age', 'in', [25]) | map(attribute='name') | list
users | selectattr('name', 'nosuchtest') | list
l | select('odd') | list
l | select('gt', 1) | list
l | reject('even') | list
l | select | list
[0, 1, '', 'a'] | select | list
[0, 1, '', 'a'] | reject | list
l | select('odd') | length
l | select('odd') | first
(l | select('odd')) is iterable
(l | select('odd')) is sequence
l | min
l | max
[] | max
w | min
w | max
users | max(attribute='age')
l | sum
[0.1, 0.2] | sum
users | sum(attribute='age')
l | sum(start=10)
['a'] | sum
w | join
w | join(', ')
l | join('-')
s | join('.')
users | join('; ', attribute='name')
[1, none, 2.5, true] | join(' ')
d | join
l | length
5 | length
n | length
d | length
d | count
d | items | list
missing | items | list
l | items | list
d | dictsort
d | dictsort(true)
{'b': 2, 'a': 3} | dictsort(by='value')
{'b': 2, 'a': 3} | dictsort(reverse=true)
d | dictsort(by='value')
{'b': 2} | dictsort(by='nope')
'42' | int
'42.7' | int
' 42 ' | int
'4_2' | int
'x' | int
'x' | int(7)
'ff' | int(base=16)
'0xff' | int(0, 16)
'0b11' | int(base=0)
3.9 | int
-3.9 | int
n | int
l | int
true | int
'1e3' | int
'inf' | int
'2.5' | float
'x' | float
'nan' | float
'1e400' | float
x | float
n | float
true | float
'1_0.5' | float
f | round
2.567 | round(2)
2.5 | round
3.5 | round
-2.5 | round
2.1 | round(method='ceil')
2.9 | round(method='floor')
2.25 | round(1, 'ceil')
2.675 | round(2)
15 | round(-1)
25 | round(-1)
1234.5 | round(-2)
x | round
x | round(1, 'floor')
s | round
2.5 | round(0, 'wrong')
y | abs
-2.5 | abs
s | abs
x | string
l | string
s | string
missing | string
l | tojson
d | tojson
s | tojson
q | tojson
u | tojson(ensure_ascii=true)
'🙂\x7f' | tojson(true)
d | tojson(indent=2)
nested | tojson(indent=4)
nested | tojson(indent=0)
nested | tojson(indent='\t')
[] | tojson(indent=2)
{} | tojson(indent=2)
[[], {}] | tojson(indent=2)
d | tojson(sort_keys=true)
nested | tojson(separators=(',', ':'))
l | tojson(indent=1, separators=(', ', ' = '))
(1, 2) | tojson
1.0 | tojson
1e100 | tojson
('nan' | float) | tojson
('inf' | float) | tojson
none | tojson
missing | tojson
{1: 2, none: 3, true: 4, 1.5: 5} | tojson
{(1, 2): 3} | tojson
range(3) | tojson
(l | select) | tojson
d.items() | tojson
namespace(a=1) | tojson
m | indent
m | indent(2)
m | indent(2, true)
m | indent(2, blank=true)
m | indent('>> ')
m | indent(width=2, first=true)
x | indent
m | wordcount
u | wordcount
m | center(40)
s | center(20)
s | center(21)
s | truncate(8)
s | truncate(8, true, '')
s | truncate(5, leeway=0)
s | truncate(8, true, '..', 0)
s | truncate(2)
l | batch(2) | list
l | batch(2, 'x') | list
l | slice(2) | list
l | slice(2, 'x') | list
range(10) | slice(3) | list
l | slice(0) | list
[1, 1.0, true, 2] | unique | list
['a', 'A', 'b'] | unique | list
['a', 'A', 'b'] | unique(true) | list
users | unique(attribute='age') | map(attribute='name') | list
[[1], [1]] | unique | list
users | groupby('age')
users | groupby('age') | map('first') | list
users | groupby('zip', default='?') | length
'abc' | list
d | list
5 | list
'<b>&"\'' | e
'<b>' | escape | safe
('<b>' | safe) + '<i>'
'<i>' + ('<b>' | safe)
('<b>' | safe) ~ '<i>'
'<b>' | safe
'<b>' | safe | upper
('<b>' | e) | e
('<b>' | e) | forceescape
'a b/c?d=é&' | urlencode
'%s and %d' | format('a', 5)
'%(a)s' | format(a=1)
'%s' | format
'%s' | format(1, 2)
'%5d|%-5d|%05d|%+d' % (1, 2, 3, 4)
'%5.1f|%e|%g' % (3.14159, 12345.678, 0.00001)
'%x %X %o %#x %c %%' % (255, 255, 8, 255, 'z')
'%s %r' % ('a', 'a')
'%10s|%-10s|%.2s' % ('abc', 'abc', 'abc')
'%s' % x
'%s %s' % x
'%d' % 'a'
'%d' % 3.9
'%s' % [1, 2]
'abc' % []
'abc' % {}
'abc' % 1
'%(b)s-%(a)s' % d
'%(zz)s' % d
'%*d' % (5, 1)
'%' % 1
'{} {}'.format(1, 'a')
'{0} {1} {0}'.format('x', 'y')
'{a} {b[0]} {c.name}'.format(a=1, b=[5], c=users[0])
'{:>5}|{:<5}|{:^5}|{:*^7}'.format(1, 'a', 'b', 'c')
'{:05d} {:+} {:,} {:_}'.format(42, 5, 1234567, 7654321)
'{:.2f} {:.1%} {:e} {:g}'.format(3.14159, 0.256, 12345.678, 0.00001)
'{:x} {:#X} {:b} {:o}'.format(255, 255, 5, 8)
'{!r} {!s}'.format('a', 'b')
'{{}} {}'.format(1)
'{} {}'.format(1)
'{'.format(1)
'}'.format(1)
'{:d}'.format('a')
'{:.1}'.format('abc')
'{:{}}'.format('a', 5)
'{}'.format(n)
'{}'.format(f)
'{:.3}'.format(2.0)
'{}'.format(true)
'{:5}'.format(true)
'{x}'.format_map({'x': 1})
s.upper()
s.lower()
s.title()
s.capitalize()
s.swapcase()
u.upper()
u.title()
"they're bill's".title()
s.split()
s.split(',')
s.split('l')
s.split('l', 1)
s.split('')
s.split(none, 1)
' a  b '.split()
' a  b '.split(' ')
' a  b c '.split(none, 1)
' a  b c '.rsplit(none, 1)
s.rsplit('l', 1)
s.split(sep=',', maxsplit=1)
'a,b,,c'.split(',')
''.split()
''.split(',')
m.splitlines()
m.splitlines(true)
'a\r\nb\rc\x0bd\u2028e'.splitlines()
'a\n'.splitlines()
s.partition(', ')
s.partition('zz')
s.rpartition('l')
s.rpartition('zz')
' x '.strip()
'xxaxx'.strip('x')
'xyaxy'.lstrip('yx')
'xyaxy'.rstrip('yx')
'\n\na\n'.lstrip('\n')
'a'.strip(none)
'a'.strip(1)
s.replace('l', '')
s.replace('l', 'LL', 1)
s.replace('', '.')
s.replace('l')
'aaa'.replace('a', 'b', -1)
'aaa'.replace('a', 'b', 0)
s.startswith('Hell')
s.startswith(('x', 'H'))
s.startswith('ell', 1)
s.startswith('H', -100)
s.endswith('ld')
s.endswith(['ld'])
s.endswith('')
s.find('l')
s.find('zz')
u.find('ß')
s.rfind('l')
s.find('l', 3)
s.find('l', 3, 4)
s.find('', 100)
s.find('')
s.index('W')
s.index('zz')
s.count('l')
s.count('')
u.count('')
'aaaa'.count('aa')
'-'.join(w)
'-'.join(l)
'-'.join('abc')
'-'.join(d)
''.join([])
'5'.zfill(3)
'-5'.zfill(4)
'a'.ljust(3) ~ '|'
'a'.rjust(3, '*')
'a'.center(4, '*')
'ab'.center(5, '*')
'abc'.removeprefix('a')
'abc'.removesuffix('bc')
'abc'.removesuffix('x')
'abc'.isalpha()
'ab1'.isalnum()
'123'.isdigit()
'१२३'.isdigit()
'½'.isnumeric()
' \t'.isspace()
''.isspace()
'ABC'.isupper()
'aBC'.islower()
'Hello World'.istitle()
'abc'.isidentifier()
'1a'.isidentifier()
'é'.isascii()
s.nosuch
s.nosuch()
s.__class__
s.__class__.__mro__
d.__class__
l.count(1)
l.index(2)
l.index(9)
(1, 2).index(2)
x is defined
missing is defined
missing is undefined
n is none
n is not none
x is none
s is string
x is number
t is number
f is float
x is integer
t is integer
t is boolean
x is boolean
t is true
x is true
false is false
d is mapping
l is mapping
l is iterable
5 is iterable
missing is iterable
l is sequence
s is sequence
d is sequence
5 is sequence
x is odd
x is even
x is divisibleby 5
x is divisibleby(2)
y is odd
2.5 is odd
s is odd
x is eq 5
x is equalto 5
x is ne 4
x is gt 3
x is lessthan 3
x is ge 5
x is sameas 5
t is sameas true
none is sameas none
x is in [5]
x is in 5
'a' is in 'abc'
'abc' is lower
'ABC' is upper
'aBC' is lower
'upper' is filter
'nope' is filter
'odd' is test
range is callable
s is callable
s is escaped
(s | safe) is escaped
x is nosuchtest
x is defined and y is defined
x is defined or missing
not x is defined
x is not defined
x is defined if t else y
x is number is string
(x is number) is boolean
x is divisibleby 5 and true
l is sequence and l is not string and l is not mapping
x.y.z is defined
d.zz is defined
d.zz.yy is defined
dict(a=1, b=2)
dict(d, a=5)
dict([['a', 1], ['b', 2]])
dict([('a', 1)], **{'z': 2})
dict(5)
{'a': 1, 'b': [1, {'c': none}]}
{1: 'a', 'b': (1,)}
{[1]: 2}
{'a': 1}['a']
{'a': {'b': 2}}.a.b
()
(1,)
1, 2
[1, 2,]
[]
{}
namespace(a=1).a
namespace(a=1).b
namespace(a=1)
namespace(_a=1)
namespace({'a': 1}).a
range(3) | list | string
[1.0, 2.5, 'a', "it's", none, true, {'k': 'v'}, (1,), ()]
q
[q]
['a\nb\t\\', "'", '"', '\'"']
['\x00\x1f\x7f\x80\u00ad\u200b\ud7ff\U0001f600é']
[missing]
nested.a.b[1].c
nested['a']['b'][0]
nested.a.b.1.c
l.0
users[0].name
users[0]['name'][0]
(users | first).name
users | map(attribute='name') | map('lower') | sort | join(' ')
raise_exception('no')
raise_exception()
strftime_now('%Y-%m-%d %H')
strftime_now('')
strftime_now('%d %b %Y')
loop
caller
x is
x |
x | nosuchfilter
x | nosuchfilter if false else 1
1 +
(1
[1, 2
{'a' 1}
x y
'unclosed
x | upper(1)
s | replace('a')
s | replace
s | trim(bogus=1)
l | join(', ', 'a', 'b')
x(1)
s()
l | tojson | length
s.split(',')[0].strip()
(s ~ u) | length
-x
+y
--x
not not x
-x | abs
(-x) | abs
-2.5 | round | int
x if x > 3 else y if y else 0
'a' if true else 'b' ~ 'c'
x + y * 2 - 3 // 2
(x + y) * 2
2 + 3 ~ 4
2 * 3 ~ 4 + 1
x == 5 and y == -3 or false
1 if 0 else 2 if 0 else 3
[1, 2, 3][1:][0]
s[:5] ~ '|' ~ s[-5:]
s[1:][::2]
"\x41\u00e9\101\q\
z"
'\N{DASH}'
'\x4'
{} | length
'abc' | batch(2) | list
d.b is defined and d.b
users | selectattr('age', '>', 26) | sort(attribute='name') | map(attribute='name') | list
users | map(attribute='age') | unique | list
'a' in ['a'] and 'b' not in ['a']
x in [1, 5] and not (y in [2])
1.5 // 0.5
1 == true == 1
'%d%%' % 50
7 // 2 * 2 + 7 % 2
3 - -3
[x, y, f] | sum | round(1)
{'a': 1}.items() | list | first
{'a': 1, 'b': 2}.values() | sum
{'a': 1, 'b': 2}.keys() | join
{'a': 1}.copy()
[1].copy()
d | attr('b')
d | attr('keys') is callable
1 is number and 1.5 is number and '1' is not number
dict | string | length > 0
x.__init__
''.__class__.__base__.__subclasses__()
[].__len__()
""".strip("\n").split("\n")

STATEMENTS = [
    "{% for i in l %}{{ i }}{% endfor %}",
    "{% for i in l %}{{ loop.index }}/{{ loop.length }}{{ ',' if not loop.last }}{% endfor %}",
    "{% for i in l %}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{% endfor %}",
    "{% for i in l %}[{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }}]{% endfor %}",
    "{% for i in l %}{{ loop.previtem is defined }}{{ loop.nextitem.x }}{% endfor %}",
    "{% for i in l %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "{% for i in l %}{{ loop.cycle() }}{% endfor %}",
    "{% for i in [1,1,2] %}{{ loop.changed(i) }}{% endfor %}",
    "{% for i in l %}{{ loop.depth }}{{ loop.depth0 }}{{ loop.nosuch }}{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in d | dictsort %}{{ k }}={{ v }};{% endfor %}",
    "{% for k in d %}{{ k }}{% endfor %}",
    "{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for a, b in [(1, 2, 3)] %}{{ a }}{% endfor %}",
    "{% for a, b in ['xy', 'zw'] %}{{ b }}{{ a }}{% endfor %}",
    "{% for a, in [[1], [2]] %}{{ a }}{% endfor %}",
    "{% for i in [] %}x{% else %}empty{% endfor %}",
    "{% for i in l %}x{% else %}empty{% endfor %}",
    "{% for i in missing %}x{% else %}empty{% endfor %}",
    "{% for i in n %}x{% endfor %}",
    "{% for i in 5 %}x{% endfor %}",
    "{% for c in s %}{{ c }}.{% endfor %}",
    "{% for c in u %}{{ c }}.{% endfor %}",
    "{% for i in l if i > 1 %}{{ loop.index }}{{ i }}{% endfor %}",
    "{% for i in l if i > 10 %}{{ i }}{% else %}none{% endfor %}",
    "{% for u in users if u.tags %}{{ u.name }}{{ loop.length }}{% endfor %}",
    "{% for i in range(10) %}{% if i == 3 %}{% continue %}{% endif %}{% if i == 6 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in l %}{% for j in l %}{{ loop.index }}{% if j == 1 %}{% break %}{% endif %}{% endfor %}|{{ loop.index }}{% endfor %}",
    "{% break %}", "{% for i in l %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}",
    "{% for i in l %}{% else %}{% break %}{% endfor %}",
    "{% for i in l %}{% set v = i %}{% endfor %}{{ v }}",
    "{% set v = 0 %}{% for i in l %}{% set v = v + i %}{{ v }},{% endfor %}{{ v }}",
    "{% set ns = namespace(v=0) %}{% for i in l %}{% set ns.v = ns.v + i %}{% endfor %}{{ ns.v }}",
    "{% set ns = namespace() %}{% set ns.a = 1 %}{{ ns.a }}{{ ns.b }}|{{ ns['a'] }}",
    "{% set ns = namespace() %}{% set ns._a = 1 %}",
    "{% set d.q = 1 %}", "{% set x.y = 1 %}", "{% set missing.y = 1 %}",
    "{% for i in l %}{{ i }}{% endfor %}{{ i }}",
    "{% for x in l %}{{ x }}{% endfor %}{{ x }}",
    "{% for loop in l %}{{ loop }}{% endfor %}",
    "{% for i in l %}{% set loop = 1 %}{% endfor %}",
    "{% for i in l recursive %}{{ i }}{% endfor %}",
    "{% for i in [[1, [2]], 3] recursive %}{% if i is iterable %}({{ loop(i) }}){% else %}{{ i }}@{{ loop.depth }}{% endif %}{% endfor %}",
    "{% for i in l %}{{ loop(l) }}{% endfor %}",
    "{% if x == 5 %}a{% elif x == 6 %}b{% else %}c{% endif %}",
    "{% if x == 4 %}a{% elif x == 5 %}b{% elif x == 5 %}d{% else %}c{% endif %}",
    "{% if missing %}a{% endif %}", "{% if missing.x %}a{% endif %}",
    "{% if x %}{% set z = 1 %}{% endif %}{{ z }}",
    "{% if not x %}{% set z = 1 %}{% endif %}{{ z }}",
    "{% if x, y %}a{% endif %}", "{% if %}a{% endif %}", "{% if x %}", "{% endif %}", "{% else %}",
    "{% if x: %}a{% endif %}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set (a, b) = [1, 2] %}{{ a }}{{ b }}",
    "{% set a, b = 1 %}", "{% set a, b = 1, 2, 3 %}", "{% set a = 1, 2 %}{{ a }}", "{% set a = 1, %}{{ a }}",
    "{% set a %}text {{ x }}{% endset %}[{{ a }}]", "{% set a | upper %}text{% endset %}{{ a }}",
    "{% set a | upper | replace('T', 'x') %}text{% endset %}{{ a }}",
    "{% set a %}{% set b = 1 %}{% endset %}{{ b }}",
    "{% set true = 1 %}", "{% set none = 1 %}", "{% set 'a' = 1 %}", "{% set %}", "{% set a = %}", "{% set a = 1 2 %}",
    "{% set a.b.c = 1 %}",
    "{% macro m(a, b=2) %}{{ a }}-{{ b }};{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(b=5, a=6) }}{{ m() }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(z=2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}",
    "{% macro m(a, b=a) %}{{ b }}{% endmacro %}{{ m(1) }}", "{% macro m(a=1, b) %}{% endmacro %}",
    "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, a=3) }}",
    "{% macro m(a) %}{{ varargs }}{% endmacro %}{{ m(1, 2, 3) }}{{ m(1, 2, b=1) }}",
    "{% macro m() %}{{ x }}{% set x = 9 %}{{ x }}{% endmacro %}{{ m() }}{{ x }}",
    "{% set v = 1 %}{% macro m() %}{{ v }}{% endmacro %}{% set v = 2 %}{{ m() }}",
    "{% macro m() %}{{ later }}{% endmacro %}{% set later = 2 %}{{ m() }}",
    "{% macro m(k) %}{% if k > 0 %}{{ k }}{{ m(k - 1) }}{% endif %}{% endmacro %}{{ m(5) }}",
    "{% for i in l %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}",
    "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}body{{ x }}{% endcall %}",
    "{% macro m() %}{{ caller(1, 2) }}{% endmacro %}{% call(a, b) m() %}{{ a }}/{{ b }}{% endcall %}",
    "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}", "{% macro m() %}-{% endmacro %}{% call m() %}x{% endcall %}",
    "{% call x %}{% endcall %}", "{% macro m(a, a2=[]) %}{{ a2 + [a] }}{% endmacro %}{{ m(1) }}{{ m(2) }}",
    "{% macro m(a) %}{{ a is defined }}{% endmacro %}{{ m() }}",
    "{% macro m(caller) %}{{ caller }}{% endmacro %}{{ m(1) }}",
    "{{ m() }}{% macro m() %}x{% endmacro %}",
    "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}",
    "{{ m.name }}{% macro m() %}{% endmacro %}",
    "{% filter upper %}abc{{ x }}{% endfilter %}", "{% filter upper | lower %}aBc{% endfilter %}",
    "{% filter replace('a', 'b') %}aaa{% endfilter %}", "{% filter nosuch %}a{% endfilter %}",
    "{% with a = 1, b = x %}{{ a }}{{ b }}{% endwith %}{{ a }}", "{% with %}{% set a = 1 %}{{ a }}{% endwith %}{{ a }}",
    "{% with a = 1, b = a %}{{ b }}{% endwith %}",
    "{% generation %}a{% set g = 1 %}{{ x }}{% endgeneration %}{{ g }}",
    "{% for i in l %}{% generation %}{{ i }}{{ loop.index }}{% endgeneration %}{% endfor %}",
    "{% print x, y %}", "{% print %}", "{% do x %}", "{% nosuch %}", "{% trans %}", "{% debug %}",
    "{% include 'x' %}", "{% if false %}{% include 'x' %}{% endif %}ok", "{% extends 'x' %}", "{% import 'x' as y %}",
    "{% block a %}x{{ x }}{% endblock %}", "{% block a %}{% endblock %}{% block a %}{% endblock %}",
    "{% block a %}x{% endblock a %}",
    "{% raw %}{{ x }}{% if %}{% endraw %}{{ x }}", "{%- raw -%} {{ x }} {%- endraw -%} a", "{% raw %}",
    "a\n  {% raw %}\n  b\n  {% endraw %}\n c", "a {%- raw %} b {% endraw -%} c", "{% raw %}{% endraw %}",
    "{# comment #}a", "a{# x {{ y }} #}b", "a {#- x -#} b", "{# unclosed", "{#+ a +#}\nb", "a\n  {# c #}\nb", "a\n  {#- c -#}\n b",
    "  {% if x %}\n  a\n  {% endif %}\nb", "  {%- if x -%}\n  a\n  {%- endif -%}\nb", "  {%+ if x %}\n  a\n  {%+ endif %}\nb",
    "{% if x +%}\na{% endif +%}\nb", "a\n\n{% if x %}\n\nb{% endif %}\n\n", "  {{ x }}  ", "a  {{- x -}}  b", "a {{+ x }} b",
    "a\n  {{- x -}}\n  b", "{{ x }}\n", "{{ x }}\n\n", "a\r\nb\rc\n", "{% if x %}\r\na{% endif %}\r\n", "\n{% if x %}a{% endif %}\n",
    "x {% if x %} y {% endif %} z", "\t{% if x %}\t{% endif %}\t", "{% for i in l %}\n  {{ i }}\n{% endfor %}\nend",
    "{% for i in l -%}\n  {{ i }}\n{%- endfor %}\nend", "{%- for i in l %}\n  {{- i }}\n{%- endfor %}\nend",
    "\u00a0{%- if x %}a{% endif -%}\u3000b", "text\n    {% set a = 1 %}\n    {% set b = 2 %}\nend", "{% set a = 1 %}{% set b = 2 %}\n\nend",
    "   {# c #}   {% set a = 1 %}  x", "x\n   {# c #}{% set a = 1 %}\n  x", "{{ '{{' }}{{ '}}' }}", "{{ '%}' }}{% set a = '%}' %}{{ a }}",
    "{{ {'a': {'b': 1}}}}", "{{ {'a': {'b': 1}}.a}}", "{% set a = {'b': {}}%}{{ a }}", "{{ x }", "{{ x", "{% if x", "{{ x }} }}", "{% x %}",
    "{", "{ {", "a{b}c", "{{}}", "{{ }}", "{%%}", "{% %}", "}} %} #}", "{{ x -}}\n\n y", "{{ x }}{% if 1 %}{% endif %}\n{{ x }}",
    "{{ 'a\nb' }}", "{{ 'a\r\nb' | length }}", "{{ x\n + y\n }}", "{{ x;y }}", "{{ x ! y }}", "{{ x @ y }}", "{{ x ? y }}", "{{ $x }}", "{{ x & y }}",
    "{{ \"a\" 'b' }}", "{{ é }}", "{% set é = 1 %}{{ é }}", "{{ 007 }}", "{{ 1__0 }}", "{{ 1.}}", "{{ .5 }}", "{{ 1.e5 }}", "{{ 1e5 }}",
    "{{ x. }}", "{{ x.'a' }}", "{{ l[0, 1] }}", "{{ d['a', 'b'] }}", "{{ l[1:2, 3] }}", "{{ l[] }}", "{{ l[:] }}", "{{ l[1:2:3:4] }}",
    "{{ m(**{'a': 1}) }}{% macro m(a) %}{{ a }}{% endmacro %}",
    "{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(*[1, 2]) }}{{ m(*[1], **{'b': 2}) }}{{ m(1, *[2]) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(a=1, a=2) }}", "{{ range(*[1, 3]) | list }}", "{{ dict(a=1, a=2) }}", "{{ dict(a=1, **{'a': 2}) }}",
    "{{ 'a' is defined is defined }}", "{{ x | default(1) | string + 'a' }}", "{{ (x | string) + 'a' }}", "{{ -1 | abs }}", "{{ x if y }}{{ y if not y }}",
    "{{ users | map(attribute='name') | first | upper }}", "{% set it = l | map('string') %}{{ it | join }}{{ it | join }}",
    "{% set it = l | select %}{{ it | first }}{{ it | list }}", "{% if l | select('gt', 100) %}truthy{% endif %}",
    "{% set g = l | select('gt', 100) | list %}{% if g %}t{% else %}f{% endif %}",
    "{% for m in messages %}{% endfor %}none", "{% set a = [] %}{% set _ = a.append(1) %}{{ a }}",
    "{% set a = {} %}{% set _ = a.update({'x': 1}) %}", "{% for k in d.keys() | list | sort %}{{ k }}{% endfor %}",
    "{% for i in range(3) %}{% for j in range(2) %}{{ loop.index }}{{ i }}{{ j }} {% endfor %}{% endfor %}",
    "{% for i in range(3) %}{% set outer = loop %}{% for j in range(2) %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %}",
    "{% set x = x + 1 %}{{ x }}", "{% set y = y %}{{ y }}", "{{ x }}{% set x = 7 %}{{ x }}",
    "{% for i in l %}{{ x }}{% set x = i %}{{ x }} {% endfor %}{{ x }}", "{% if t %}{% for i in l %}{% if i == 3 %}{% set f2 = i %}{% endif %}{{ f2 }}{% endfor %}{% endif %}",
    "{% if true %}{{ x | nosuch }}{% endif %}", "{% if false %}{{ x | nosuch }}{% endif %}ok", "{% if false %}{{ x is nosuch }}{% endif %}ok",
    "{% if false %}{% for i in l %}{{ i | nosuch }}{% endfor %}{% endif %}ok", "{{ (x | nosuch) if false else 'ok' }}", "{% for i in [] %}{{ i | nosuch }}{% endfor %}ok",
    "{% macro m() %}{{ x | nosuch }}{% endmacro %}ok", "{% if false %}{% macro m() %}{{ x | nosuch }}{% endmacro %}{% endif %}ok",
    "{% if false %}{% set a %}{{ x | nosuch }}{% endset %}{% endif %}ok", "{% if false %}{% elif x | nosuch %}{% endif %}",
    "{% set content = messages[0].content if messages is defined else 'none' %}{{ content }}",
    "{% for i in 'ab' %}{{ loop.last }}{% endfor %}", "{{ loop.index }}", "{% for i in l %}{{ loop }}{% break %}{% endfor %}"[:0] + "{{ 1 }}",
    "{{ [1, 2, 3] | map('string') | join(',') ~ '!' }}", "{{ ('a', 'b') | join }}", "{{ ns }}", "{%- set ns = namespace(found=false, l=[]) -%}{%- for i in l -%}{%- set ns.l = ns.l + [i] -%}{%- endfor -%}{{ ns.l }}",
    "{{ d | tojson | safe }}", "{{ 'a' | string | safe ~ '<' }}", "{% set v %}<b>{% endset %}{{ v ~ '<i>' }}", "{{ 'x' * 0 }}{{ 'x' * -1 }}",
    "{{ [[1, 2], [3]] | sum(start=[]) }}", "{{ [1, [2, [3]]] | string | length }}", "{% for a in [1,2,3] %}{% for b in loop.previtem | default([]) | string %}{{ b }}{% endfor %}{% endfor %}",
    "{% set ns = namespace(a=1) %}{% macro m() %}{% set ns.a = 5 %}{% endmacro %}{{ m() }}{{ ns.a }}",
    "{% set ns = namespace(a=1) %}{% set other = ns %}{% set other.a = 2 %}{{ ns.a }}",
    "{% for ns in [namespace(a=1)] %}{% set ns.a = 3 %}{{ ns.a }}{% endfor %}",
    "{% set a = 1 %}{% with a = 2 %}{{ a }}{% set a = 3 %}{{ a }}{% endwith %}{{ a }}",
    "{% autoescape false %}<{% endautoescape %}"[:0] + "ok", "{{ x }}{# c #}\n{# d #}\n{{ y }}",
    "{% set s2 = s.split(', ') %}{% for p in s2 %}{{ p | trim }}{{ ';' if not loop.last else '.' }}{% endfor %}",
    "{{ 'yes' if 'a' in d and d['a'] is string else 'no' }}", "{{ (users | last)['name'] }}", "{{ users[-1:] | map(attribute='name') | list }}", "{{ users[::-1][0].name }}",
    "{%- for user in users[::-1] %}{{ loop.index0 }}{{ user.name }}{% endfor %}", "{{ users | length - 1 }}", "{{ (users | length) - 1 - 0 }}", "{{ users|length - 1 > 1 }}",
    "{{ 'a' ~ 1 + 2 }}", "{{ 1 ~ 2 * 3 }}", "{{ not 1 == 2 }}", "{{ 1 if 2 in [2] else 3 }}", "{{ x is not string and x is not mapping }}", "{{ x is odd == true }}",
    "{{ 'abc'[1] ~ 'abc'[-1:] }}", "{{ '%s' % 'a' ~ 'b' }}", "{{ (none, true, 1.0) }}", "{{ none }}|{{ true }}|{{ 1.0 }}|{{ [] }}", "{{ 5 // 2.0 }}", "{{ 1e308 * 10 }}", "{{ -1e308 * 10 }}",
]


def cases():
    for expression in EXPRESSIONS:
        # A backslash-newline in the list stands for one in the template.
        yield "{{ " + expression + " }}", VARIABLES
    for statement in STATEMENTS:
        yield statement, VARIABLES
