package verdict

import "fmt"

// Counted says how many there are of what a word names: "1 broker", "2 brokers".
func Counted(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
