package dev.castellan.kafka;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/** Files that stand in several parts; the Go package plainauth describes it. */
final class Parts {

    /** How many parts count at most. */
    static final int MAX = 8;

    private static final byte[] SAYS = "#files ".getBytes(StandardCharsets.US_ASCII);

    private Parts() {}

    /** Where a part stands; 0 is the first one. */
    static Path path(Path first, int part) {
        return part == 0 ? first : Path.of(first + "-" + part);
    }

    /** How many parts count, as the first one says in its second line: one if it says nothing that makes sense. */
    static int in(byte[] first) {
        int start = 0;
        while (start < first.length && first[start] != '\n') {
            start++;
        }
        start++;
        int digit = start + SAYS.length;
        if (digit + 1 >= first.length || first[digit + 1] != '\n') {
            return 1;
        }
        for (int i = 0; i < SAYS.length; i++) {
            if (first[start + i] != SAYS[i]) {
                return 1;
            }
        }
        int parts = first[digit] - '0';
        return parts >= 2 && parts <= MAX ? parts : 1;
    }
}
