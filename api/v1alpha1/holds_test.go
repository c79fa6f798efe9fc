package v1alpha1

import "testing"

func TestWhatHoldsBackIsAnythingButFalse(t *testing.T) {
	for name, test := range map[string]struct {
		annotations     map[string]string
		holds, misspelt bool
	}{
		"nothing is asked for":       {nil, false, false},
		"something else is asked":    {map[string]string{AnnotationRestart: "true"}, false, false},
		"true":                       {map[string]string{AnnotationPause: "true"}, true, false},
		"false":                      {map[string]string{AnnotationPause: "false"}, false, false},
		"a typing error":             {map[string]string{AnnotationPause: "ture"}, true, true},
		"capitals":                   {map[string]string{AnnotationPause: "False"}, true, true},
		"the annotation has no text": {map[string]string{AnnotationPause: ""}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			if holds, misspelt := Holds(test.annotations, AnnotationPause); holds != test.holds || misspelt != test.misspelt {
				t.Errorf("it holds back: %t, misspelt: %t", holds, misspelt)
			}
			if holds, _ := Holds(test.annotations, AnnotationHoldAuthority); holds {
				t.Error("it holds back something else")
			}
		})
	}
}
