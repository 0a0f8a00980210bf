"""What English abbreviates, and writes as signs: units, titles, symbols, who is numbered. Pure; used by `english`."""

from typing import Final

MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
UNITS: Final = {
    "km/h": ("kilometer per hour", "kilometers per hour"),
    "m/s": ("meter per second", "meters per second"),
    "mph": ("mile per hour", "miles per hour"),
    "km²": ("square kilometer", "square kilometers"),
    "m²": ("square meter", "square meters"),
    "m³": ("cubic meter", "cubic meters"),
    "sq ft": ("square foot", "square feet"),
    "km": ("kilometer", "kilometers"),
    "cm": ("centimeter", "centimeters"),
    "mm": ("millimeter", "millimeters"),
    "m": ("meter", "meters"),
    "mi": ("mile", "miles"),
    "ft": ("foot", "feet"),
    "oz": ("ounce", "ounces"),
    "qt": ("quart", "quarts"),
    "gal": ("gallon", "gallons"),
    "tbsp": ("tablespoon", "tablespoons"),
    "tsp": ("teaspoon", "teaspoons"),
    "hrs": ("hour", "hours"),
    "hr": ("hour", "hours"),
    "mins": ("minute", "minutes"),
    "min": ("minute", "minutes"),
    "secs": ("second", "seconds"),
    "sec": ("second", "seconds"),
    "kg": ("kilogram", "kilograms"),
    "mg": ("milligram", "milligrams"),
    "g": ("gram", "grams"),
    "lbs": ("pound", "pounds"),
    "lb": ("pound", "pounds"),
    "ml": ("milliliter", "milliliters"),
    "mL": ("milliliter", "milliliters"),
    "L": ("liter", "liters"),
    "TB": ("terabyte", "terabytes"),
    "GB": ("gigabyte", "gigabytes"),
    "MB": ("megabyte", "megabytes"),
    "KB": ("kilobyte", "kilobytes"),
    "kB": ("kilobyte", "kilobytes"),
    "GHz": ("gigahertz", "gigahertz"),
    "MHz": ("megahertz", "megahertz"),
    "kHz": ("kilohertz", "kilohertz"),
    "Hz": ("hertz", "hertz"),
    "kW": ("kilowatt", "kilowatts"),
    "ms": ("millisecond", "milliseconds"),
    "°C": ("degree Celsius", "degrees Celsius"),
    "°F": ("degree Fahrenheit", "degrees Fahrenheit"),
    "°": ("degree", "degrees"),
    "¢": ("cent", "cents"),
    "%": ("percent", "percent"),
}
ABBREVIATIONS: Final = {
    "e.g.": "for example",
    "i.e.": "that is",
    "etc.": "et cetera",
    "vs.": "versus",
    "approx.": "approximately",
    "Mr.": "Mister",
    "Mrs.": "Missus",
    "Ms.": "Miz",
    "Dr.": "Doctor",
    "Prof.": "Professor",
    "Ph.D.": "P H D",
    "Jr.": "Junior",
    "Sr.": "Senior",
}
BEFORE_NUMBERS: Final = {
    "No.": "number",
    "no.": "number",
    "Nos.": "numbers",
    "p.": "page",
    "pp.": "pages",
    "Fig.": "figure",
    "fig.": "figure",
    "Vol.": "volume",
    "vol.": "volume",
    "Ch.": "chapter",
}
BEFORE_NAMES: Final = {
    "St.": "Saint",
    "Mt.": "Mount",
    "Gen.": "General",
    "Sen.": "Senator",
    "Gov.": "Governor",
    "Rep.": "Representative",
    "Capt.": "Captain",
    "Col.": "Colonel",
    "Lt.": "Lieutenant",
    "Sgt.": "Sergeant",
    "Rev.": "Reverend",
}
SENTENCE_STARTS: Final = (
    r"(?:An?|And|As|At|But|By|For|From|He|Here|His|Her|How|If|In|It|Its|My|No|Not|On|Or|Our|She|So|Some|That|The|Their|"
    r"Then|There|These|They|This|Those|To|We|What|When|Where|Which|While|Who|Why|With|Yes|You|Your)\b"
)
"""Capitalised words that begin a sentence rather than a name."""
STREETS: Final = {"St.": "Street", "Ave.": "Avenue", "Blvd.": "Boulevard", "Rd.": "Road"}
NAME: Final = rf"(?!{SENTENCE_STARTS})[A-Z]"
SYMBOLS: Final = {
    "&": "and",
    "+": "plus",
    "=": "equals",
    "×": "times",
    "÷": "divided by",
    "±": "plus or minus",
    "≈": "about",
    "≠": "is not",
    "≤": "at most",
    "≥": "at least",
    "√": "the square root of",
    "π": "pi",
    "→": "to",
    "@": "at",
    "%": "percent",
    "°": "degrees",
    "²": "squared",
    "³": "cubed",
    "½": "one half",
    "¼": "one quarter",
    "¾": "three quarters",
}

COUNTED: Final = r"World War|Chapter|Part|Act|Volume|Book|Phase|Type|Section|Article|Super Bowl"
RULERS: Final = (
    r"Alexander|Benedict|Catherine|Charles|Edward|Elizabeth|Frederick|George|Henry|James|John Paul|Louis|Napoleon|"
    r"Nicholas|Philip|Pius|Ramses|Richard|Wilhelm|William"
)
