package dev.castellan.kafka;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Files that stand in several parts; the Go package plainauth describes it. */
final class Parts {

    /** How many parts count at most. */
    static final int MAX = 8;

    private static final Pattern WORDS = Pattern.compile("#files((?: [0-9a-f]{16}){1,7})");

    private Parts() {}

    /** Where a part stands; 0 is the first one. */
    static Path path(Path first, int part) {
        return part == 0 ? first : Path.of(first + "-" + part);
    }

    /** The words that a file says in its second line: none if it says nothing that makes sense. */
    static List<String> words(byte[] content) {
        int start = endOfLine(content, 0) + 1;
        int end = endOfLine(content, start);
        if (end >= content.length) {
            return List.of();
        }
        Matcher line = WORDS.matcher(new String(content, start, end - start, StandardCharsets.ISO_8859_1));
        return line.matches() ? List.of(line.group(1).substring(1).split(" ")) : List.of();
    }

    /** Whether a further file counts: it has the word that the first one says for it. */
    static boolean counts(List<String> first, int part, List<String> own) {
        return own.size() == 1 && own.get(0).equals(first.get(part - 1));
    }

    private static int endOfLine(byte[] content, int start) {
        int end = start;
        while (end < content.length && content[end] != '\n') {
            end++;
        }
        return end;
    }
}
