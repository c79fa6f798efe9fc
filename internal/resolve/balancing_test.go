package resolve

import (
	"reflect"
	"testing"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
)

func TestBrokersThatComeGetTheirShareUnlessTheSpecSaysOtherwise(t *testing.T) {
	byDefault := model.Balancing{Mode: v1alpha1.BalancingOnScale, Tolerance: defaultTolerance, MaxMoving: maxMoving}
	off, most := byDefault, byDefault
	off.Mode, most.MaxMoving = v1alpha1.BalancingOff, 1
	for name, c := range map[string]struct {
		spec *v1alpha1.Balancing
		want model.Balancing
	}{
		"nothing is said":       {nil, byDefault},
		"nothing is said in it": {&v1alpha1.Balancing{}, byDefault},
		"all but the mode":      {&v1alpha1.Balancing{MaxMoving: ptr[int32](1)}, most},
		"Off":                   {&v1alpha1.Balancing{Mode: v1alpha1.BalancingOff}, off},
	} {
		if got := resolveBalancing(&v1alpha1.KafkaCluster{}, c.spec); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
