package balance

import "fmt"

// String says for people what moves, how much that is, and why: "orders-3: broker 1 to 4, 2.0 GiB (broker 1 leaves)".
func (m Move) String() string {
	to, from, copies := m.Added()
	if m.Within() {
		return fmt.Sprintf("%s-%d: within broker %d, %s to %s, %s (%s)", m.Topic, m.Partition, m.Broker, m.From, m.To,
			Size(m.Bytes), m.why(m.Broker))
	}
	if !copies {
		return fmt.Sprintf("%s-%d: preferred leader %d in place of %d, nothing copied (%s)",
			m.Topic, m.Partition, m.After[0], m.Before[0], m.why(from))
	}
	return fmt.Sprintf("%s-%d: broker %d to %d, %s (%s)", m.Topic, m.Partition, from, to, Size(m.Bytes), m.why(from))
}

func (m Move) why(from int32) string {
	switch m.Reason {
	case LeavingBroker:
		return fmt.Sprintf("broker %d leaves", from)
	case LeavingDisk:
		return "its disk leaves"
	case Disks:
		return "evens out the disks of the broker"
	case Racks:
		return "its replicas share a rack"
	case DiskLimit:
		return fmt.Sprintf("a disk of broker %d is above the limit", from)
	case Bytes:
		return "evens out bytes"
	case Replicas:
		return "evens out replicas"
	case Leaders:
		return "evens out leaders"
	case Topic:
		return "evens out the topic"
	}
	return string(m.Reason)
}

// String says what cannot move, and why, with a cure.
func (s Stuck) String() string {
	if s.Topic == "" {
		return fmt.Sprintf("broker %d: %s", s.Broker, s.Why)
	}
	return fmt.Sprintf("%s-%d on broker %d: %s", s.Topic, s.Partition, s.Broker, s.Why)
}

// Size writes bytes as people do: "300 B", "2.0 GiB".
func Size(bytes int64) string {
	value, unit := SizeBeside(bytes, bytes)
	return value + " " + unit
}

// SizeBeside writes bytes in the unit in which people write another number of them.
func SizeBeside(bytes, other int64) (value, unit string) {
	divisor, unit := int64(1), "B"
	for _, larger := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if other/divisor < 1024 {
			break
		}
		divisor, unit = divisor*1024, larger
	}
	if divisor == 1 {
		return fmt.Sprint(bytes), unit
	}
	return fmt.Sprintf("%.1f", float64(bytes)/float64(divisor)), unit
}

// why says what stands in the way, and what to do about it.
func (s Stuck) why(limit int) string {
	switch s.Cause {
	case BrokerClosed:
		return fmt.Sprintf("broker %d is down or its disks are not known, so it gives nothing away; start it", s.Broker)
	case PartitionFixed:
		return "the partition is being reassigned, its topic is left alone, or a KafkaTopic places it; wait for the " +
			"reassignment, or change what holds the topic"
	case NotInSync:
		return "no replica is in sync and leads, so there is nothing to copy from; start the brokers that hold it"
	case TooFewBrokers:
		return "every broker that takes replicas has one of the partition already; add a broker, or lower the topic's " +
			"replication factor"
	case NoRoom:
		if s.Topic == "" {
			return fmt.Sprintf("a disk is %s above %d%% of its capacity, and nothing on it can move to a disk with room; "+
				"enlarge the disk, add brokers, or keep less data", Size(s.Lacking), limit)
		}
		return fmt.Sprintf("no disk of a broker that may have it stays below %d%% of its capacity; %s are lacking: "+
			"enlarge the disks, add brokers, or keep less data", limit, Size(s.Lacking))
	}
	return string(s.Cause)
}
