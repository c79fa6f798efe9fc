package apply

import (
	"errors"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// IgnoreGone drops the errors of writing to an object that is gone or has been replaced: its successor has events of
// its own.
func IgnoreGone(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) || apierrors.IsInvalid(err) && isUIDError(err) {
		return nil
	}
	return err
}

// Refused tells whether the API server does not take a write at all: for a role, an admission rule or a CRD.
func Refused(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err)
}

func isUIDError(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return false
	}
	return slices.ContainsFunc(
		status.Status().Details.Causes,
		func(c metav1.StatusCause) bool { return c.Field == "metadata.uid" },
	)
}
