// SPDX-License-Identifier: MIT
module gobench

go 1.19
