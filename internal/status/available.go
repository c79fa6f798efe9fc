package status

// ReasonBelowMinISR: partitions lack in-sync replicas, of a quorum that has a leader and brokers that serve.
const ReasonBelowMinISR = "BelowMinISR"
