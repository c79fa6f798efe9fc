package model

// PoolField is the path of a field of a pool in the spec, as messages name it; an empty field is the pool itself.
func PoolField(pool, field string) string {
	if field == "" {
		return "spec.pools[" + pool + "]"
	}
	return "spec.pools[" + pool + "]." + field
}

// ReplicasField is the path of the field that says how many nodes a pool has; scaled = spec.replicas does.
func ReplicasField(pool string, scaled bool) string {
	if scaled {
		return "spec.replicas"
	}
	return PoolField(pool, "replicas")
}

// VolumeField is the path of a field of a volume in the spec.
func VolumeField(pool, volume, field string) string {
	path := PoolField(pool, "storage.volumes["+volume+"]")
	if field == "" {
		return path
	}
	return path + "." + field
}

// ListenerField is the path of a field of a listener in the spec.
func ListenerField(listener, field string) string {
	if field == "" {
		return "spec.listeners[" + listener + "]"
	}
	return "spec.listeners[" + listener + "]." + field
}

// SameClass compares storage classes; nil = the default class, empty = volumes that somebody made by hand.
func SameClass(a, b *string) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
