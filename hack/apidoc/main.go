// Command apidoc writes the API reference from CRDs, so that it says exactly what the API server enforces:
//
//	go run . ../../config/crd/bases/*.yaml > ../../docs/api.md
package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// crd is the part of a CustomResourceDefinition that readers care about.
type crd struct {
	Spec struct {
		Group string `yaml:"group"`
		Names struct {
			Kind       string   `yaml:"kind"`
			Plural     string   `yaml:"plural"`
			ShortNames []string `yaml:"shortNames"`
			Categories []string `yaml:"categories"`
		} `yaml:"names"`
		Scope    string `yaml:"scope"`
		Versions []struct {
			Name   string `yaml:"name"`
			Schema struct {
				OpenAPI schema `yaml:"openAPIV3Schema"`
			} `yaml:"schema"`
		} `yaml:"versions"`
	} `yaml:"spec"`
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "apidoc:", err)
		os.Exit(1)
	}
}

func run(paths []string, out io.Writer) error {
	var crds []crd
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var c crd
		if err := yaml.Unmarshal(content, &c); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if len(c.Spec.Versions) == 0 {
			return fmt.Errorf("%s: no versions, not a CustomResourceDefinition", path)
		}
		crds = append(crds, c)
	}
	slices.SortFunc(crds, func(a, b crd) int { return cmp.Compare(a.Spec.Names.Kind, b.Spec.Names.Kind) })
	w := bufio.NewWriter(out)
	write(w, crds)
	return w.Flush()
}

func write(w io.Writer, crds []crd) {
	fmt.Fprint(w, "<!-- Written by make generate from config/crd/bases; changes here are lost. -->\n\n# API reference\n\n")
	fmt.Fprint(w, "The same text is in `kubectl explain`, for the version that is installed. "+
		"Fields marked with * are required.\n\n")
	for _, c := range crds {
		kind := c.Spec.Names.Kind
		fmt.Fprintf(w, "- [%s](#%s)\n", kind, strings.ToLower(kind))
	}
	for _, c := range crds {
		for _, v := range c.Spec.Versions {
			n := c.Spec.Names
			fmt.Fprintf(w, "\n## %s\n\n", n.Kind)
			fmt.Fprintf(w, "`%s/%s`, %s; `kubectl get %s`", c.Spec.Group, v.Name, strings.ToLower(c.Spec.Scope), n.Plural)
			for _, alias := range slices.Concat(n.ShortNames, n.Categories) {
				fmt.Fprintf(w, ", `%s`", alias)
			}
			fmt.Fprintf(w, ".\n\n%s\n", paragraph(v.Schema.OpenAPI.Description))
			for _, part := range []string{"spec", "status"} {
				s, ok := v.Schema.OpenAPI.Properties[part]
				if !ok {
					continue
				}
				fmt.Fprintf(w, "\n### %s.%s\n\n", n.Kind, part)
				writeRules(w, s.Rules)
				fmt.Fprint(w, "| field | type | meaning |\n|---|---|---|\n")
				writeFields(w, part, s)
			}
			if rules := v.Schema.OpenAPI.Rules; len(rules) > 0 {
				fmt.Fprintf(w, "\nRules of the whole object:\n\n")
				writeRules(w, rules)
			}
		}
	}
}

func writeRules(w io.Writer, rules []rule) {
	for _, r := range rules {
		fmt.Fprintf(w, "- %s\n", paragraph(r.Message))
	}
	if len(rules) > 0 {
		fmt.Fprintln(w)
	}
}

// writeFields writes a row for every field below a schema, depth first, required ones before optional ones.
func writeFields(w io.Writer, path string, s schema) {
	names := make([]string, 0, len(s.Properties))
	for name := range s.Properties {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if x, y := slices.Contains(s.Required, a), slices.Contains(s.Required, b); x != y {
			if x {
				return -1
			}
			return 1
		}
		return cmp.Compare(a, b)
	})
	for _, name := range names {
		field := s.Properties[name]
		mark := ""
		if slices.Contains(s.Required, name) {
			mark = "*"
		}
		full := path + "." + name
		fmt.Fprintf(w, "| `%s`%s | %s | %s |\n", full, mark, field.typeName(), cell(field.text()))
		if full == "status.conditions" {
			continue // metav1.Condition is Kubernetes' own
		}
		switch {
		case field.Items != nil && len(field.Items.Properties) > 0:
			writeFields(w, full+"[]", *field.Items)
		case len(field.Properties) > 0:
			writeFields(w, full, field)
		}
	}
}

func paragraph(s string) string { return strings.Join(strings.Fields(s), " ") }

// cell makes text safe for a cell of a table. What stands between backquotes is code, where only | needs care.
func cell(s string) string {
	parts := strings.Split(strings.ReplaceAll(paragraph(s), "|", `\|`), "`")
	for i := 0; i < len(parts); i += 2 {
		parts[i] = strings.NewReplacer("<", "&lt;", "*", `\*`).Replace(parts[i])
	}
	return strings.Join(parts, "`")
}
