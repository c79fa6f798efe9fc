package model

// Walls says who may connect to the pods of a cluster at all.
type Walls struct {
	// Ingress tells that a NetworkPolicy closes what the pods need not have open.
	Ingress bool
	// Operator is who has to be let in, whatever the user admits.
	Operator Operator
}

// Operator is the pods of the operator.
type Operator struct {
	Namespace string
	Labels    map[string]string
}

// IsKnown tells that a NetworkPolicy can admit the operator. Else none may be made: it would shut the operator out.
func (o Operator) IsKnown() bool { return o.Namespace != "" && len(o.Labels) > 0 }
