// Package crds compares the CRDs that the API server serves with what this operator knows. They part where one was
// upgraded without the other: what only the CRDs have has no effect, and what only the operator has is dropped.
package crds

import (
	"reflect"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// kinds are those of the API.
var kinds = map[string]reflect.Type{
	"KafkaCluster": reflect.TypeFor[v1alpha1.KafkaCluster](),
	"KafkaTopic":   reflect.TypeFor[v1alpha1.KafkaTopic](),
	"KafkaUser":    reflect.TypeFor[v1alpha1.KafkaUser](),
}

// schema is what of an OpenAPI schema tells which fields there are.
type schema struct {
	Properties map[string]schema `json:"properties"`
	Items      *schema           `json:"items"`
	Additional *schema           `json:"additionalProperties"`
}

// differences are fields, as Kind.spec.path, that a schema has beyond a type (foreign), and the other way round
// (missing). They are looked for in spec and status.
type differences struct{ foreign, missing []string }

func compare(served map[string]schema) differences {
	var d differences
	for kind, of := range kinds {
		whole, found := served[kind]
		if !found {
			continue // it is not served at all, as the API server itself says
		}
		for _, part := range []string{"Spec", "Status"} {
			field, _ := of.FieldByName(part)
			name := strings.ToLower(part)
			d.walk(kind+"."+name, whole.Properties[name], field.Type)
		}
	}
	slices.Sort(d.foreign)
	slices.Sort(d.missing)
	return d
}

// walk goes down a schema and a type side by side. What the schema does not spell out, such as a pod template, is not
// compared.
func (d *differences) walk(path string, s schema, of reflect.Type) {
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	switch {
	case s.Items != nil && of.Kind() == reflect.Slice:
		d.walk(path+"[]", *s.Items, of.Elem())
	case s.Additional != nil && of.Kind() == reflect.Map:
		d.walk(path+"{}", *s.Additional, of.Elem())
	case len(s.Properties) > 0 && of.Kind() == reflect.Struct:
		known := fieldsOf(of)
		for name, child := range s.Properties {
			if field, is := known[name]; is {
				d.walk(path+"."+name, child, field)
			} else {
				d.foreign = append(d.foreign, path+"."+name)
			}
		}
		for name := range known {
			if _, is := s.Properties[name]; !is {
				d.missing = append(d.missing, path+"."+name)
			}
		}
	}
}

// fieldsOf are the fields of a struct by their names in JSON, those of inlined structs among them.
func fieldsOf(of reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for i := range of.NumField() {
		field := of.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "-" || !field.IsExported():
		case name == "" && (field.Anonymous || strings.Contains(options, "inline")):
			inner := field.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			for name, t := range fieldsOf(inner) {
				fields[name] = t
			}
		case name == "":
			fields[field.Name] = field.Type
		default:
			fields[name] = field.Type
		}
	}
	return fields
}
