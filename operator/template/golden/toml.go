package main

import (
	"bytes"
	"fmt"
	"text/template"

	"github.com/BurntSushi/toml"
)

// tomlFunctions are functions of Helm.
var tomlFunctions = template.FuncMap{
	"toToml": func(value any) (string, error) {
		var out bytes.Buffer
		err := toml.NewEncoder(&out).Encode(value)
		return out.String(), err
	},
	"fromToml": func(text string) (map[string]any, error) {
		value := map[string]any{}
		return value, toml.Unmarshal([]byte(text), &value)
	},
}

// tomlTemplates write values, and read documents.
func tomlTemplates() []string {
	all := []string{
		`{{ toToml .map }}`, `{{ toToml (dict) }}`, `{{ toToml nil }}`, `{{ toToml .missing }}`, `{{ toToml "a\tb" }}`, `{{ toToml 1 }}`, `{{ toToml true }}`,
		`{{ toToml (list 1 "a" true 2.5 (list) (dict)) }}`, `{{ toToml (list (dict "a" 1)) }}`, `{{ toToml (dict "a" (list nil)) }}`, `{{ toToml (dict "a" (list (list 1 nil))) }}`,
		`{{ toToml (dict "b" (dict "d" (dict "e" 1) "c" true) "a" "x" "z" (list 1.5 2)) }}`, `{{ toToml (dict "a" (list (dict "b" 1 "c" (list (dict "d" 2))) (dict))) }}`,
		`{{ toToml (dict "a" (list 1 (dict "c" (dict "d" 2) "b" (list (dict "e" "f"))))) }}`, `{{ toToml (dict "a b" 1 "" 2 "é" (dict "x.y" "z") "p-q_r" 3) }}`,
		`{{ toToml (dict "n" (int64 7) "f" 1e21 "g" 1e-7 "h" 123456789.0 "i" (float64 "nan") "j" (float64 "inf") "k" (float64 "-inf") "l" -0.5) }}`,
		`{{ toToml (dict "a" nil "b" (dict) "c" (list) "d" (dict "e" nil)) }}`, `{{ toToml (dict "a" (list (list (dict "b" 1)) (list (dict "c" 2)))) }}`,
		`{{ toToml (dict "a" (dict "b" (dict "c" (list (dict "d" 1) (dict "e" (dict "f" 2)))))) }}`, `{{ dict "a" (dict "b" 1) | toToml | nindent 4 }}`, `{{ .map | toToml | fromToml | toToml }}`,
		`{{ toToml (semver "1.2.3") }}`, `{{ toToml (dict "a" (semver "1.2.3")) }}`, `{{ toToml (splitList "," "a,b") }}`, `{{ toToml (dict "a" (list (dict "b" nil))) }}`, `{{ fromToml 1 }}`,
		`{{ (fromToml "a = 1").a | typeOf }}`, `{{ (fromToml "a = 1.5").a | typeOf }}`, `{{ (fromToml "a = []").a | typeOf }}`, `{{ fromToml "" | typeOf }}`, `{{ (fromToml "a.b = 'x'").a.b }}`,
	}
	for _, document := range tomlDocuments {
		all = append(all, fmt.Sprintf("{{ fromToml %q | toJson }}", document))
	}
	for index := 0; index < 97; index++ {
		all = append(all, fmt.Sprintf(`{{ toToml (dict "k" (index .texts %d)) }}`, index))
		all = append(all, fmt.Sprintf(`{{ dict (index .texts %d) 1 | toToml | fromToml | toJson }}`, index))
	}
	return all
}

// tomlDocuments are valid and invalid documents without times.
var tomlDocuments = []string{
	"", "\n", "# c", "a = 1", "a = 1\r\n", "a = 1 # c\nb=2", "a = 1\na = 2", "a = 1 b = 2", "a =", "= 1", "a", "a b = 1", "\"a b\" = 1", "'a b' = 1", "\"\" = 1", "a.b.c = 1\na.b.d = 2",
	"a . b = 1", "a.\"b.c\".d = 1", "1.2 = 3", "-_ = 1", "é = 1", "\ufeffa = 1", "a = true\nb = false\nc = True", "a = True", "[a]\nb = 1\n[a.c]\nd = 2", "[a.b]\n[a]\nc = 1", "[a]\n[a]",
	"[a]\nb = 1\n[a.b]", "[a]\nb.c = 1\n[a.b]", "[a]\nb.c = 1\n[a.b.d]\ne = 1", "a.b = 1\n[a]", "[ a . 'b' ]\nc = 1", "[a", "[a]]", "[[a]", "[]", "[a] b = 1", "[a] # c\nb = 1", "[[a]]\nb = 1\n[[a]]\nb = 2",
	"[[a]]\n[[a.b]]\nc = 1\n[[a.b]]\nc = 2\n[[a]]", "[[a]]\n[a]", "[a]\n[[a]]", "a = []\n[[a]]", "[[a]]\n[a.b]\nc = 1\n[[a]]\n[a.b]\nc = 2", "[a.b.c]\nz = 1\n[a]\nb.c.t = 2", "[a.b.c]\nz = 1\n[a]\nb.t = 2",
	"a = [1, 2, 3]", "a = [1, 2,]", "a = []", "a = [,]", "a = [1 2]", "a = [1,, 2]", "a = [[1], ['x']]", "a = [\n1, # x\n\n2\n]", "a = [1", "a = [1, 'x', true, 1.5, {b = 1}]",
	"a = {}", "a = {b = 1}", "a = { b = 1, c.d = 2, c.e = 3 }", "a = {b = 1,}", "a = {b = 1\n}", "a = {b = 1, b = 2}", "a = {b = {c = [1, {d = 2}]}}", "a = {b = 1}\na.c = 2", "a = {b = 1}\n[a.c]", "a = {b = 1", "a = {1}",
	"a = 'x'", "a = 'x\\y'", "a = 'x\ny'", "a = 'x", "a = ''''x'''", "a = '''x'''", "a = '''\nx\ny'''", "a = '''x''y'''", "a = '''x'''''", "a = '''x", "a = ''''''", "a = ''",
	`a = "x"`, `a = "\b\t\n\f\r\"\\"`, `a = "\u00e9\U0001F600"`, `a = "\ud800"`, `a = "\U00110000"`, `a = "\u12"`, `a = "\x41"`, `a = "\e"`, `a = "\ "`, `a = "x`, "a = \"x\ny\"", "a = \"x\ty\"", "a = \"x\u0001y\"",
	`a = """x"""`, "a = \"\"\"\nx\ny\"\"\"", "a = \"\"\"x\\\n  y\"\"\"", "a = \"\"\"x\\   \n\n  y\"\"\"", "a = \"\"\"x\\ y\"\"\"", `a = """x"y""z"""`, `a = """x""""`, `a = """x"""""`, `a = """x""""""`, "a = \"\"\"\r\nx\r\ny\"\"\"",
	"a = 0", "a = +1", "a = -1", "a = -0", "a = +0", "a = 01", "a = 1_000", "a = 1__0", "a = _1", "a = 1_", "a = 0x1F", "a = 0xDEAD_beef", "a = 0X1", "a = 0o17", "a = 0o8", "a = 0b101", "a = 0b2", "a = +0x1", "a = 0x", "a = 0x_1",
	"a = 9223372036854775807", "a = -9223372036854775808", "a = 9223372036854775808", "a = 1.5", "a = +1.5", "a = -1.5e3", "a = 1e3", "a = 1E+3", "a = 1e-03", "a = 1.", "a = .5", "a = 1.e3", "a = 1.5.2", "a = 1e", "a = 1_0.5_0e1_0", "a = 1._5", "a = 1.5_",
	"a = 01.5", "a = 1e999", "a = 1e-999", "a = yes", "a = 1x", "a = 1,", "a\n= 1", "a =\n1", "a = \"x\" \"y\"", "\ta\t=\t1\t", "a = 1\n\n\n[b]\n\nc = 2\n", "\u0001", "# \u0001", "a = 1 \r b = 2",
}
