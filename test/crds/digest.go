// Package crds holds the CRDs to what was released: a manifest that one release took means the same to every later one.
// It compares digests, in which a released schema has a line a field, and knows no cluster.
package crds

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

type props = apiextensionsv1.JSONSchemaProps

// Field is what a schema says of one value, as JSON by keyword; nothing that only explains.
type Field map[string]string

// Schema is one version of one CRD: "KafkaTopic v1alpha1 spec.config" and the like, with [] for items and {} for
// values.
type Schema map[string]Field

// Read reads CRDs from a folder.
func Read(folder string) (Schema, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil || len(paths) == 0 {
		return nil, fmt.Errorf("no CRDs in %s (%w)", folder, err)
	}
	all := Schema{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		crd := apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(text, &crd); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		maps.Copy(all, Of(&crd))
	}
	return all, nil
}

// Of is the schema of a CRD.
func Of(crd *apiextensionsv1.CustomResourceDefinition) Schema {
	all := Schema{}
	names := crd.Spec.Names
	for _, v := range crd.Spec.Versions {
		at := names.Kind + " " + v.Name
		all[at] = Field{"scope": text(crd.Spec.Scope), "plural": text(names.Plural), "singular": text(names.Singular),
			"shortNames": text(names.ShortNames), "categories": text(names.Categories), "served": text(v.Served),
			"storage": text(v.Storage)}
		if v.Subresources != nil {
			all[at]["subresources"] = text(v.Subresources)
		}
		all.add(at, "", *v.Schema.OpenAPIV3Schema, true)
	}
	return all
}

// add puts a value of a schema and all below it into the digest.
func (s Schema) add(version, path string, p props, required bool) {
	f := Field{}
	if path != "" {
		s[version+" "+path] = f
	} else {
		f = s[version]
	}
	f.add("type", p.Type, p.Type != "")
	f.add("format", p.Format, p.Format != "")
	f.add("required", true, required && path != "" && !strings.HasSuffix(path, "]") && !strings.HasSuffix(path, "}"))
	f.add("default", p.Default, p.Default != nil)
	f.add("enum", p.Enum, len(p.Enum) > 0)
	f.add("pattern", p.Pattern, p.Pattern != "")
	f.add("minimum", p.Minimum, p.Minimum != nil)
	f.add("maximum", p.Maximum, p.Maximum != nil)
	f.add("minLength", p.MinLength, p.MinLength != nil)
	f.add("maxLength", p.MaxLength, p.MaxLength != nil)
	f.add("minItems", p.MinItems, p.MinItems != nil)
	f.add("maxItems", p.MaxItems, p.MaxItems != nil)
	f.add("minProperties", p.MinProperties, p.MinProperties != nil)
	f.add("maxProperties", p.MaxProperties, p.MaxProperties != nil)
	f.add("nullable", true, p.Nullable)
	f.add("intOrString", true, p.XIntOrString)
	f.add("preserves", true, p.XPreserveUnknownFields != nil && *p.XPreserveUnknownFields)
	f.add("list", p.XListType, p.XListType != nil)
	f.add("keys", p.XListMapKeys, len(p.XListMapKeys) > 0)
	var rules []string
	for _, r := range p.XValidations {
		rules = append(rules, r.Rule)
	}
	slices.Sort(rules)
	f.add("rules", rules, len(rules) > 0)
	for name, child := range p.Properties {
		s.add(version, strings.TrimPrefix(path+"."+name, "."), child, slices.Contains(p.Required, name))
	}
	if p.Items != nil {
		s.add(version, path+"[]", *p.Items.Schema, false)
	}
	if p.AdditionalProperties != nil && p.AdditionalProperties.Schema != nil {
		s.add(version, path+"{}", *p.AdditionalProperties.Schema, false)
	}
}

func (f Field) add(keyword string, value any, is bool) {
	if is {
		f[keyword] = text(value)
	}
}

// text is a value as JSON, which all that a schema holds can be written as.
func text(value any) string {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false) // rules are full of &&
	if err := encoder.Encode(value); err != nil {
		return fmt.Sprint(value)
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// Print writes a digest: a line a field, in order, with tabs between.
func (s Schema) Print() []byte {
	var out strings.Builder
	for _, path := range slices.Sorted(maps.Keys(s)) {
		out.WriteString(path)
		for _, keyword := range slices.Sorted(maps.Keys(s[path])) {
			out.WriteString("\t" + keyword + "=" + s[path][keyword])
		}
		out.WriteString("\n")
	}
	return []byte(out.String())
}

// Parse reads what Print has written.
func Parse(digest []byte) (Schema, error) {
	all := Schema{}
	for n, line := range strings.Split(strings.TrimSuffix(string(digest), "\n"), "\n") {
		parts := strings.Split(line, "\t")
		f := Field{}
		for _, part := range parts[1:] {
			keyword, value, is := strings.Cut(part, "=")
			if !is {
				return nil, fmt.Errorf("line %d: %q is no keyword with a value", n+1, part)
			}
			f[keyword] = value
		}
		all[parts[0]] = f
	}
	return all, nil
}
