// Command bundle-check holds a folder with a bundle for OLM to what the Operator Framework asks of bundles, with its
// own validators: those of operator-sdk's `bundle validate --select-optional suite=operatorframework`, without the
// one that pulls images, and those of OperatorHub. It prints every warning, and fails on errors.
package main

import (
	"fmt"
	"os"

	"github.com/operator-framework/api/pkg/manifests"
	"github.com/operator-framework/api/pkg/validation"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: bundle-check FOLDER")
		os.Exit(2)
	}
	if err := check(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "bundle-check:", err)
		os.Exit(1)
	}
}

func check(folder string) error {
	bundle, err := manifests.GetBundleFromDir(folder)
	if err != nil {
		return fmt.Errorf("load the bundle in %s: %w", folder, err)
	}
	validators := validation.DefaultBundleValidators.WithValidators(
		validation.OperatorHubV2Validator, validation.StandardCapabilitiesValidator,
		validation.StandardCategoriesValidator, validation.ObjectValidator, validation.GoodPracticesValidator,
		validation.AlphaDeprecatedAPIsValidator,
	)
	failed := 0
	for _, result := range validators.Validate(bundle.ObjectsToValidate()...) {
		for _, warning := range result.Warnings {
			fmt.Fprintln(os.Stderr, warning)
		}
		for _, e := range result.Errors {
			fmt.Fprintln(os.Stderr, e)
			failed++
		}
	}
	if failed != 0 {
		return fmt.Errorf("%s: %d errors", folder, failed)
	}
	return nil
}
