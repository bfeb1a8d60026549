// Runs Lua scripts with the runner of Argo CD. Reads one JSON document per line: `script`, `object`, and `use`, which is
// `health`, `discovery` or `action`. Prints the result as JSON.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/argoproj/argo-cd/v3/util/lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type request struct {
	Script string         `json:"script"`
	Use    string         `json:"use"`
	Object map[string]any `json:"object"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var asked request
		check(json.Unmarshal(lines.Bytes(), &asked))
		result, err := run(asked)
		check(err)
		text, err := json.Marshal(result)
		check(err)
		fmt.Println(string(text))
	}
	check(lines.Err())
}

func run(asked request) (any, error) {
	vm, object := lua.VM{}, &unstructured.Unstructured{Object: asked.Object}
	switch asked.Use {
	case "health":
		return vm.ExecuteHealthLua(object, asked.Script)
	case "discovery":
		actions, err := vm.ExecuteResourceActionDiscovery(object, []string{asked.Script})
		found := map[string]any{}
		for _, action := range actions {
			found[action.Name] = map[string]any{"disabled": action.Disabled}
		}
		return found, err
	default:
		resources, err := vm.ExecuteResourceAction(object, asked.Script, nil)
		if err != nil {
			return nil, err
		}
		return resources[0].UnstructuredObj.Object, nil
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
