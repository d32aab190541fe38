"""The order in which the GIN paper's code has the graphs of MUTAG.

Its folds are drawn over the labels in this order, which is not that of the TU collection: entry i
is the place in the TU files of graph i of its file. Found by matching labelled graphs; 24 graphs in
11 groups are copies of one another within a class, among which the assignment is arbitrary.
"""

PLACES = """
92 101 91 89 104 105 106 107 108 9 111 114 116 67 10 120 121 102 125 126 127 11 46 135 136 12 139
144 145 147 148 150 151 152 156 157 158 14 50 161 133 163 164 165 166 168 15 169 170 171 172 173 175
176 177 179 182 183 186 17 0 19 20 21 22 23 24 25 26 27 28 29 30 31 32 34 36 40 42 43 44 45 162 47
48 3 49 160 51 52 53 55 56 57 58 59 60 62 63 66 117 68 5 70 71 73 74 78 79 80 81 82 84 85 86 7 103
90 124 100 93 94 95 96 98 99 109 110 112 113 115 118 119 122 123 128 129 130 131 132 134 137 138 140
141 142 143 146 13 149 153 154 155 159 167 174 178 16 180 181 184 185 187 18 1 33 35 37 38 2 39 41
54 4 61 64 65 69 72 75 76 77 6 83 87 88 97 8
"""
MUTAG_ORDER = tuple(map(int, PLACES.split()))
