package user

import (
	"slices"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/users"
)

// provable are the mechanisms by which the operator can log in to see them work, or be refused.
func provable(mechanisms []v1alpha1.Mechanism) []v1alpha1.Mechanism {
	return slices.DeleteFunc(slices.Clone(mechanisms), func(m v1alpha1.Mechanism) bool {
		row, known := mechanism.Of(m)
		return known && !row.Offered()
	})
}

// needsScram tells whether an object of the claim has, or asks for, a credential that the operator makes.
func (p *userPass) needsScram(i *userItem) bool {
	return slices.ContainsFunc(i.concerned(), func(u *v1alpha1.KafkaUser) bool { return !users.Elsewhere(u) })
}
