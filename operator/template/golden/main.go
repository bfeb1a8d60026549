// Command golden renders thousands of templates with Go's text/template and sprig, and prints one line for each:
// ["template", "result"], ["template"] for an error, or ["template", null, "base64"] for a result that is not UTF-8.
// The first line is the data of all templates. With the name of a file of data as its argument, it renders the templates of
// documents.go and toml.go, and does not print the data. Run `make golden`.
package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/template"
	"unicode/utf8"

	"github.com/Masterminds/sprig/v3"
)

// runs is the number of executions of each template. A template with two different results is not printed.
const runs = 24

// longest is the largest printed result, in bytes.
var longest = 400

// more are the functions that only documents.go and toml.go use.
var more []template.FuncMap

// allowed are the sprig functions of Vault Secrets Operator's SecretTransformation.
const allowed = `abbrev abbrevboth add add1 add1f addf adler32sum ago all any append atoi b32dec b32enc b64dec b64enc
base bcrypt biggest buildCustomCert camelcase cat ceil chunk clean coalesce compact concat contains deepCopy deepEqual
default dict dig dir div divf duration durationRound empty ext fail first float64 floor fromJson get has hasKey
hasPrefix hasSuffix htpasswd indent initial initials int int64 isAbs join kebabcase keys kindIs kindOf last list lower
max maxf merge mergeOverwrite min minf mod mul mulf mustAppend mustChunk mustCompact mustDeepCopy mustFirst
mustFromJson mustHas mustInitial mustLast mustMerge mustMergeOverwrite mustPrepend mustPush mustRegexFind
mustRegexFindAll mustRegexMatch mustRegexReplaceAll mustRegexReplaceAllLiteral mustRegexSplit mustRest mustReverse
mustSlice mustToDate mustToJson mustToPrettyJson mustToRawJson mustUniq mustWithout nindent nospace omit osBase osClean
osDir osExt osIsAbs pick pluck plural prepend push quote randInt regexFind regexFindAll regexMatch regexQuoteMeta
regexReplaceAll regexReplaceAllLiteral regexSplit repeat replace rest reverse round semver semverCompare seq set sha1sum
sha256sum sha512sum shuffle slice snakecase sortAlpha split splitList splitn squote sub subf substr swapcase ternary
title toDecimal toJson toPrettyJson toRawJson toString toStrings trim trimAll trimPrefix trimSuffix trimall trunc tuple
typeIs typeIsLike typeOf uniq unset until untilStep untitle upper urlJoin urlParse values without wrap wrapWith`

// data is decoded as Vault's client decodes a secret: numbers keep their text.
var data = `{"str":"s3cr3t","user":"admin","num":42,"float":1.50,"exp":1e3,"big":12345678901234567890,"neg":-7,"zero":0,` +
	`"yes":true,"no":false,"null":null,"empty":"","list":["x","y","z"],"mixed":[1,"two",null,true,2.5],` +
	`"map":{"a":"1","b":2},"deep":{"one":{"two":{"three":"found"}}},"multi":"line1\nline2\n","json":"{\"k\":[1,2.50,\"<v>\"]}",` +
	`"uni":"Grüße, 世界","html":"<a href=\"x\">T&C's</a>","b64":"aGVsbG8=","words":"the quick brown fox",` +
	`"users":[{"name":"ann","age":30},{"name":"bob","age":25}],"none":{},"nil":[],"with space":"spaced","dash-key":"dashed"}`

func functions() template.FuncMap {
	all, chosen := sprig.TxtFuncMap(), template.FuncMap{}
	for _, name := range strings.Fields(allowed) {
		chosen[name] = all[name]
	}
	for _, group := range more {
		for name, function := range group {
			chosen[name] = function
		}
	}
	return chosen
}

func value() any {
	decoder := json.NewDecoder(strings.NewReader(data))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		panic(err)
	}
	return v
}

func render(text string) (result string, failed bool) {
	defer func() {
		if recover() != nil {
			result, failed = "", true
		}
	}()
	t, err := template.New("golden").Funcs(functions()).Parse(text)
	if err != nil {
		return "", true
	}
	var out bytes.Buffer
	if err := t.Execute(&out, value()); err != nil {
		return "", true
	}
	return out.String(), false
}

// line returns the record of a template, or nothing for a template without a stable result.
func line(text string) (any, bool) {
	result, failed := render(text)
	// An address differs from run to run, and a long result only makes the file larger.
	if strings.Contains(result, "0xc0") || len(result) > longest {
		return nil, false
	}
	for i := 1; i < runs; i++ {
		if again, _ := render(text); again != result {
			return nil, false
		}
	}
	switch {
	case failed:
		return []any{text}, true
	case utf8.ValidString(result):
		return []any{text, result}, true
	}
	return []any{text, nil, base64.StdEncoding.EncodeToString([]byte(result))}, true
}

func main() {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	texts := templates
	if len(os.Args) > 1 {
		file, err := os.ReadFile(os.Args[1])
		if err != nil {
			panic(err)
		}
		data, longest = string(file), 4000
		more = []template.FuncMap{documents, tomlFunctions}
		texts = func() []string { return append(documentTemplates(), tomlTemplates()...) }
	} else {
		fmt.Fprintln(out, data)
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	seen := map[string]bool{}
	for _, text := range texts() {
		if record, stable := line(text); stable && !seen[text] {
			seen[text] = true
			if err := encoder.Encode(record); err != nil {
				panic(err)
			}
		}
	}
}
