package main

import (
	"encoding/json"
	"fmt"
	"strings"
)

// schema is an OpenAPI v3 schema as it stands in a CRD.
type schema struct {
	Description          string            `yaml:"description"`
	Type                 string            `yaml:"type"`
	Format               string            `yaml:"format"`
	Properties           map[string]schema `yaml:"properties"`
	Required             []string          `yaml:"required"`
	Items                *schema           `yaml:"items"`
	AdditionalProperties *schema           `yaml:"additionalProperties"`
	Default              any               `yaml:"default"`
	Enum                 []any             `yaml:"enum"`
	Pattern              string            `yaml:"pattern"`
	Rules                []rule            `yaml:"x-kubernetes-validations"`
	IntOrString          bool              `yaml:"x-kubernetes-int-or-string"`
	PreserveUnknown      bool              `yaml:"x-kubernetes-preserve-unknown-fields"`
}

// rule is a validation in CEL; its message is written for users.
type rule struct {
	Message string `yaml:"message"`
}

func (s schema) typeName() string {
	switch {
	case s.IntOrString:
		return "quantity"
	case s.PreserveUnknown:
		return "any object"
	case s.Items != nil:
		return "list of " + s.Items.typeName()
	case s.AdditionalProperties != nil:
		return "map of " + s.AdditionalProperties.typeName()
	case s.Format == "date-time":
		return "time"
	default:
		return s.Type
	}
}

// text is the description with what the schema says beyond it. Bounds stand in the descriptions already.
func (s schema) text() string {
	parts := []string{s.Description}
	if s.Default != nil {
		if value, err := json.Marshal(s.Default); err == nil && string(value) != "{}" {
			parts = append(parts, fmt.Sprintf("Default: `%s`.", value))
		}
	}
	enum := s.Enum
	if s.Items != nil {
		enum = s.Items.Enum
	}
	if len(enum) > 0 {
		values := make([]string, len(enum))
		for i, v := range enum {
			values[i] = fmt.Sprintf("`%v`", v)
		}
		parts = append(parts, "One of "+strings.Join(values, ", ")+".")
	}
	if s.Pattern != "" && !s.IntOrString {
		parts = append(parts, "Pattern: `"+s.Pattern+"`.")
	}
	for _, r := range s.Rules {
		parts = append(parts, "Rule: "+r.Message+".")
	}
	return strings.Join(parts, " ")
}
