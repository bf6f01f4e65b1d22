// SPDX-License-Identifier: Apache-2.0

// render reads {"chart": directory, "values": {…}, "release": {…}, "apiVersions": […]} from standard input and writes
// {"files": [{"name": …, "text": …}]} or {"error": …}. It has what helm adds to Go's templates as far as a chart without
// dependencies sees it.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"gopkg.in/yaml.v3"
)

type request struct {
	Chart       string
	Values      map[string]interface{}
	Release     map[string]interface{}
	APIVersions []string
}

type file struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// versions is what .Capabilities.APIVersions is.
type versions []string

// Has says whether the server has a version, or a kind of one.
func (all versions) Has(wanted string) bool {
	for _, one := range all {
		if one == wanted {
			return true
		}
	}
	return false
}

func readYaml(path string) (map[string]interface{}, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	read := map[string]interface{}{}
	return read, yaml.Unmarshal(text, &read)
}

// merge puts what is given over the defaults, map by map; null takes a default away.
func merge(defaults, given map[string]interface{}) map[string]interface{} {
	merged := map[string]interface{}{}
	for key, value := range defaults {
		merged[key] = value
	}
	for key, value := range given {
		below, isMap := value.(map[string]interface{})
		if before, was := merged[key].(map[string]interface{}); was && isMap {
			merged[key] = merge(before, below)
		} else if value == nil {
			delete(merged, key)
		} else {
			merged[key] = value
		}
	}
	return merged
}

func functions(root *template.Template) template.FuncMap {
	all := sprig.TxtFuncMap()
	// Helm has neither, so that a chart does not depend on the machine that renders it.
	delete(all, "env")
	delete(all, "expandenv")
	all["include"] = func(name string, data interface{}) (string, error) {
		var out bytes.Buffer
		err := root.ExecuteTemplate(&out, name, data)
		return out.String(), err
	}
	all["toYaml"] = func(value interface{}) (string, error) {
		var out bytes.Buffer
		encoder := yaml.NewEncoder(&out)
		encoder.SetIndent(2)
		err := encoder.Encode(value)
		return strings.TrimSuffix(out.String(), "\n"), err
	}
	all["required"] = func(message string, value interface{}) (interface{}, error) {
		if value == nil || value == "" {
			return nil, fmt.Errorf("%s", message)
		}
		return value, nil
	}
	return all
}

func render(asked request) ([]file, error) {
	about, err := readYaml(filepath.Join(asked.Chart, "Chart.yaml"))
	if err != nil {
		return nil, err
	}
	defaults, err := readYaml(filepath.Join(asked.Chart, "values.yaml"))
	if err != nil {
		return nil, err
	}
	paths, err := filepath.Glob(filepath.Join(asked.Chart, "templates", "*"))
	if err != nil {
		return nil, err
	}
	sort.Strings(paths)
	root := template.New("weir").Option("missingkey=zero")
	root.Funcs(functions(root))
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if _, err = root.New(filepath.Base(path)).Parse(string(text)); err != nil {
			return nil, err
		}
	}
	data := map[string]interface{}{
		"Values":       merge(defaults, asked.Values),
		"Release":      asked.Release,
		"Chart":        map[string]interface{}{"Name": about["name"], "Version": about["version"], "AppVersion": about["appVersion"]},
		"Capabilities": map[string]interface{}{"APIVersions": versions(asked.APIVersions)},
	}
	files := []file{}
	for _, path := range paths {
		name := filepath.Base(path)
		if strings.HasPrefix(name, "_") {
			continue
		}
		var out bytes.Buffer
		if err := root.ExecuteTemplate(&out, name, data); err != nil {
			return nil, err
		}
		// As helm does: what a template prints for nothing is nothing.
		files = append(files, file{name, strings.ReplaceAll(out.String(), "<no value>", "")})
	}
	return files, nil
}

func main() {
	var asked request
	answer := map[string]interface{}{}
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		answer["error"] = err.Error()
	} else if files, err := render(asked); err != nil {
		answer["error"] = err.Error()
	} else {
		answer["files"] = files
	}
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		os.Exit(1)
	}
}
